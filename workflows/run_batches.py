"""One segment of a run: a window of batches in flight, each submitted once and watched to its end."""

import asyncio
import contextlib
import functools
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.jobs import CancelJobs, JobResult, Jobs, WatchJob
    from activities.submit import SubmitBatch, Submits, SubmittedBatch
    from workflows.adapting import Job
    from workflows.at_close import JobsInFlight
    from workflows.baton import Baton
    from workflows.breaking import Tried
    from workflows.options import CANCEL_JOBS, HANDOVERS, SUBMIT, watching
    from workflows.pace import Note, tried_in
    from workflows.plan import OutcomeCounts
    from workflows.run import Flight, Heard, Segment, SegmentReport, SegmentStatus, Steering, Stop
    from workflows.steering import HEAR, STEER

LEAST_WAIT = timedelta(milliseconds=1)
PAUSE_REACHES_SUBMITS = "a pause reaches submits"
"""The patch with which a pause also holds what is begun and waits for the Hub or for a limit."""


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RunBatches:
    """Keeps `slots` batches in flight until its stretch of the manifest has ended or the run is stopped."""

    @workflow.init
    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._steering = segment.steering
        self._begun = 0
        self._ended = 0
        self._jobs = 0
        self._counts = OutcomeCounts()
        self._flights: dict[int, Flight] = {}
        self._submits: dict[int, workflow.ActivityHandle[SubmittedBatch]] = {}
        self._held_back: set[int] = set()
        self._failed: BaseException | None = None
        self._baton = Baton(segment)
        self._pace = self._baton.pace
        self._at_close = JobsInFlight(segment.run, segment.order.site, segment.at_close)

    @workflow.run
    async def run(self, segment: Segment) -> SegmentReport:
        """Begin every batch as soon as the window has room, then wait for the last one."""
        batches: list[asyncio.Task[None]] = []
        self._baton.steer(self._steering)
        await self._baton.tell_run()
        for batch in range(segment.first, segment.first + segment.count):
            await self._wait_for_turn()
            if self._ends():
                break
            self._begin(batch, batches)
        await self._drain(batches)
        if self._failed is not None:
            raise self._failed
        return SegmentReport(
            begun=self._begun,
            jobs=self._jobs,
            counts=self._counts,
            stop=self._steering.stop,
            pace=self._baton.state,
            notes=self._baton.notes,
        )

    @workflow.signal(name=STEER)
    async def steer(self, steering: Steering) -> None:
        """Take over what the run says; a stop cancels the Hub's jobs that are in flight, unless they may end."""
        before, self._steering = self._steering, steering
        self._baton.steer(steering)
        if steering.stop is not None and (before.stop is None or before.stop.keep_jobs > steering.stop.keep_jobs):
            await self._stop_flights()
        elif steering.paused_by is not None and before.paused_by is None:
            self._hold_submits_back()
        await self._baton.tell_run()
        await self._keep_to_window()

    @workflow.signal(name=HEAR)
    async def hear(self, heard: Heard) -> None:
        """Take what the segment before this one learned at its end."""
        self._baton.hear(heard.notes)
        await self._baton.tell_run()

    @workflow.query
    def status(self) -> SegmentStatus:
        """Where this segment stands."""
        return SegmentStatus(
            begun=self._begun,
            ended=self._ended,
            counts=self._counts,
            in_flight=tuple(self._flights.values()),
            waits_for=self._waits_for_rate(),
        )

    # Beginning.

    async def _wait_for_turn(self) -> None:
        """Wait until the next batch may begin; a clock is set only where time alone may allow it."""
        while True:
            wake = self._wakes_at()
            wait = None if wake is None else max(wake - workflow.now(), LEAST_WAIT)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(functools.partial(self._is_turn, wake), timeout=wait)
            self._pace.tick(workflow.now())
            await self._baton.tell_run()
            if self._may_begin():
                return

    def _is_turn(self, wake: datetime | None) -> bool:
        """Tell whether there is something to look at: a batch may begin, or the clock is set wrongly now."""
        return self._may_begin() or self._wakes_at() != wake

    def _may_begin(self) -> bool:
        if self._ends():
            return True
        return self._has_room() and self._pace.lets_begin(workflow.now())

    def _ends(self) -> bool:
        """Tell whether nothing more begins here: it is over, or another history is to go on."""
        most = self._segment.most_events
        is_long = most is not None and workflow.info().get_current_history_length() > most
        return self._has_ended() or is_long or self._steering.renew

    def _wakes_at(self) -> datetime | None:
        if self._may_begin() or not self._has_room():
            return None
        return self._pace.wakes_at()

    def _waits_for_rate(self) -> str | None:
        wake = self._wakes_at() if self._pace.breaker.lets_begin() else None
        return None if wake is None else f"its rate, which lets the next batch begin at {wake:%Y-%m-%d %H:%M:%S} UTC"

    def _has_room(self) -> bool:
        return self._may_send() and len(self._flights) < self._steering.slots

    def _may_send(self) -> bool:
        """Tell whether nothing forbids to send: no pause, no closed window, no Hub that lacks what is needed."""
        return self._steering.paused_by is None and self._steering.unwell is None and not self._is_closed()

    def _is_closed(self) -> bool:
        opening = self._steering.opening
        if opening.open_until is not None:
            return workflow.now() >= opening.open_until
        return opening.closed_until is not None

    def _begin(self, batch: int, batches: list[asyncio.Task[None]]) -> None:
        self._begun += 1
        self._flights[batch] = Flight(batch=batch, round=self._segment.round, since=workflow.now())
        tried = Tried(era=self._pace.begun(workflow.now()), trial=self._pace.adapting.state.number)
        task = asyncio.create_task(self._run_batch(batch, tried))
        batches.append(task)
        task.add_done_callback(batches.remove)

    async def _drain(self, batches: list[asyncio.Task[None]]) -> None:
        """Give the slots that become free to the next segment, a few at a time."""
        handful = max(1, self._steering.slots // HANDOVERS)
        begun = self._begun
        if self._pace.awaits_cost:  # The next segment shall know what is owed.
            await workflow.wait_condition(lambda: not self._pace.awaits_cost or self._has_ended())
        while batches:
            await self._baton.tell_draining(len(self._flights), begun)
            least = max(0, len(batches) - handful)
            await workflow.wait_condition(functools.partial(_shrunk_to, batches, least))
        await workflow.wait_condition(workflow.all_handlers_finished)

    # One batch.

    async def _run_batch(self, batch: int, tried: Tried) -> None:
        try:
            counts, tried = await self._send_until_it_ends(batch, tried)
            if counts is None:
                self._begun -= 1
            else:
                self._count(counts)
                tried = tried_in(counts, tried)
        except ActivityError as error:
            self._failed = self._failed or error
        finally:
            self._flights.pop(batch, None)
        # Not above: a workflow that leaves a worker's cache in mid-batch ends there, outside of its own loop.
        self._baton.note(Note(tried=tried))
        await self._baton.tell_run()

    async def _send_until_it_ends(self, batch: int, tried: Tried) -> tuple[OutcomeCounts | None, Tried]:
        """Send a batch, and again after a window closed too early for it; None when it was never begun."""
        cut: tuple[int, ...] = ()
        counts: OutcomeCounts | None = None
        again = False
        while True:
            closes = self._steering.opening.open_until
            submitted = await self._submit(batch, closes, cut)
            if batch in self._held_back:
                self._held_back.discard(batch)
                closes = None  # It was the pause, not the window, that kept the batch from the Hub.
            self._baton.sent(submitted.files, submitted.bytes, again=again)
            if submitted.job is None and submitted.begun:
                return submitted.counts, tried
            if submitted.job is not None:
                since = workflow.now()
                counts = await self._watch(batch, submitted, submitted.job)
                tried = self._with_job(tried, submitted, counts, since)
                if not self._at_close.has_cut(submitted.job, counts):
                    return counts, tried
                cut, closes = (*cut, submitted.job), None
                self._flights[batch] = self._flights[batch].model_copy(update={"job": None})
            again = True
            tried = await self._wait_to_send_again(closes, tried)
            if self._has_ended():
                return counts, tried

    def _with_job(self, tried: Tried, submitted: SubmittedBatch, counts: OutcomeCounts, since: datetime) -> Tried:
        """Add how the job went, for a concurrency that adapts."""
        limits, files = self._segment.batch, counts.done + sum(counts.failed.values())
        if limits is None or submitted.job is None or self._at_close.has_touched(submitted.job):
            return tried
        job = Job(
            trial=tried.trial,
            beside=len(self._jobs_in_flight()),
            work=max(files / limits.files, min(1.0, counts.bytes_done / limits.bytes)),
            seconds=(workflow.now() - since).total_seconds(),
            files=files,
            failed=sum(counts.failed.values()),
        )
        return tried.model_copy(update={"job": job})

    async def _wait_to_send_again(self, closed_for: datetime | None, tried: Tried) -> Tried:
        """Wait until the window is open, and not the one that has closed already for the Hub, and the breaker lets it.

        One that opened meanwhile counts the batch anew, as one of those that try.
        """
        while not self._may_send_again(closed_for, tried):
            wake = self._tries_at()
            wait = None if wake is None else max(wake - workflow.now(), LEAST_WAIT)
            may = functools.partial(self._may_look_again, closed_for, tried, wake)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(may, timeout=wait)
            if self._baton.has_pace:
                self._pace.tick(workflow.now())
        return tried if self._has_ended() else self._baton.begun_again(tried)

    def _may_look_again(self, closed_for: datetime | None, tried: Tried, wake: datetime | None) -> bool:
        return self._may_send_again(closed_for, tried) or self._tries_at() != wake

    def _may_send_again(self, closed_for: datetime | None, tried: Tried) -> bool:
        is_other = closed_for is None or self._steering.opening.open_until != closed_for
        return self._has_ended() or (is_other and self._may_send() and self._lets_again(tried))

    def _lets_again(self, tried: Tried) -> bool:
        """Ask the breaker: our own, or what the run says of it when another segment has the pace."""
        if self._baton.has_pace:
            return self._pace.breaker.lets_again(tried.era)
        return self._steering.shut is None or self._steering.shut.may_try(workflow.now())

    def _tries_at(self) -> datetime | None:
        """When time alone may let a batch go again that waits for the breaker."""
        if self._baton.has_pace:
            return self._pace.breaker.wakes_at
        shut = self._steering.shut
        return None if shut is None or shut.may_try(workflow.now()) else shut.probe_at

    def _has_ended(self) -> bool:
        return self._steering.stop is not None or self._failed is not None

    async def _submit(self, batch: int, closes: datetime | None, cut: tuple[int, ...]) -> SubmittedBatch:
        """Submit once; a stop lets the activity say itself whether the Hub has heard of the batch."""
        request = SubmitBatch(
            run=self._segment.run,
            round=self._segment.round,
            manifest=self._segment.manifest,
            batch=batch,
            order=self._segment.order,
            intended_us=_micros(),
            not_after_us=None if closes is None else _micros(closes),
            cut_jobs=cut,
        )
        handle = workflow.start_activity_method(Submits.submit_batch, request, **SUBMIT)
        self._submits[batch] = handle
        try:
            return await handle
        except ActivityError:
            if not self._steering.stop and batch not in self._held_back:
                raise
        finally:
            del self._submits[batch]
        # Interrupted by the stop or a pause: only a look at the Hub can tell whether there is a job to cancel.
        seek = request.model_copy(update={"seek_only": True})
        return await workflow.execute_activity_method(Submits.submit_batch, seek, **SUBMIT)

    async def _watch(self, batch: int, submitted: SubmittedBatch, job: int) -> OutcomeCounts:
        self._jobs += 1
        self._flights[batch] = self._flights[batch].model_copy(update={"job": job})
        if self._steering.stop and not self._steering.stop.keep_jobs:
            await self._cancel([job], self._steering.stop)
        handle: workflow.ActivityHandle[JobResult] = workflow.start_activity_method(
            Jobs.watch_job,
            WatchJob(
                run=self._segment.run,
                round=self._segment.round,
                manifest=self._segment.manifest,
                batch=batch,
                job=job,
                submitted_us=submitted.submitted_us,
                order=self._segment.order,
                pauses=self._at_close.pauses,
            ),
            **watching(self._segment.order.job_timeout, pauses=self._at_close.pauses),
        )
        if not self._steering.stop:
            await self._keep_to_window()
        return (await handle).counts

    def _hold_submits_back(self) -> None:
        """Interrupt what is begun and not sent yet, to be sent after the pause; what the Hub may have is looked for."""
        if self._submits and workflow.patched(PAUSE_REACHES_SUBMITS):
            for batch, handle in self._submits.items():
                self._held_back.add(batch)
                handle.cancel()

    async def _stop_flights(self) -> None:
        stop = self._steering.stop
        assert stop is not None
        for handle in list(self._submits.values()):
            handle.cancel()
        jobs = self._jobs_in_flight()
        if jobs and not stop.keep_jobs:
            await self._cancel(jobs, stop)

    async def _keep_to_window(self) -> None:
        """Do to the jobs in flight what the policy says of a window that closes, or has opened again."""
        if self._steering.stop is not None and not self._steering.stop.keep_jobs:
            return
        try:
            await self._at_close.keep(self._jobs_in_flight, self._is_closed)
        except ActivityError as error:
            self._failed = self._failed or error

    def _jobs_in_flight(self) -> list[int]:
        return [flight.job for flight in self._flights.values() if flight.job is not None]

    async def _cancel(self, jobs: list[int], stop: Stop) -> None:
        request = CancelJobs(
            run=self._segment.run, site=self._segment.order.site, jobs=tuple(jobs), actor=stop.by, why=stop.why
        )
        try:
            await workflow.execute_activity_method(Jobs.cancel_jobs, request, **CANCEL_JOBS)
        except ActivityError as error:
            # Raised from here it would end the workflow and leave the watches alone: they tell how the jobs end.
            self._failed = self._failed or error

    def _count(self, counts: OutcomeCounts) -> None:
        self._counts = self._counts.plus(counts)
        self._ended += 1


def _shrunk_to(batches: list[asyncio.Task[None]], least: int) -> bool:
    return len(batches) <= least


def _micros(moment: datetime | None = None) -> int:
    return round((moment or workflow.now()).timestamp() * 1_000_000)
