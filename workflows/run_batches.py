"""One segment of a run: a window of batches in flight, each submitted once and watched to its end."""

import asyncio
import functools

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.jobs import CancelJobs, JobResult, Jobs, WatchJob
    from activities.submit import SubmitBatch, Submits, SubmittedBatch
    from workflows.options import CANCEL_JOBS, HANDOVERS, SUBMIT, watching
    from workflows.plan import OutcomeCounts
    from workflows.run import Draining, Flight, Segment, SegmentReport, SegmentStatus, Steering, Stop
    from workflows.steering import SEGMENT_DRAINS, STEER


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
        self._failed: BaseException | None = None

    @workflow.run
    async def run(self, segment: Segment) -> SegmentReport:
        """Begin every batch as soon as the window has room, then wait for the last one."""
        batches: list[asyncio.Task[None]] = []
        for batch in range(segment.first, segment.first + segment.count):
            await workflow.wait_condition(self._may_begin)
            if self._steering.stop or self._failed:
                break
            self._begin(batch, batches)
        await self._drain(batches)
        if self._failed is not None:
            raise self._failed
        return SegmentReport(begun=self._begun, jobs=self._jobs, counts=self._counts, stop=self._steering.stop)

    @workflow.signal(name=STEER)
    async def steer(self, steering: Steering) -> None:
        """Take over what the run says; a stop cancels the Hub's jobs that are in flight."""
        stopping = steering.stop is not None and self._steering.stop is None
        self._steering = steering
        if stopping:
            await self._stop_flights()

    @workflow.query
    def status(self) -> SegmentStatus:
        """Where this segment stands."""
        return SegmentStatus(
            begun=self._begun,
            ended=self._ended,
            counts=self._counts,
            in_flight=tuple(self._flights.values()),
        )

    def _may_begin(self) -> bool:
        if self._steering.stop or self._failed:
            return True
        return self._steering.paused_by is None and len(self._flights) < self._steering.slots

    def _begin(self, batch: int, batches: list[asyncio.Task[None]]) -> None:
        self._begun += 1
        self._flights[batch] = Flight(batch=batch, round=self._segment.round, since=workflow.now())
        task = asyncio.create_task(self._run_batch(batch))
        batches.append(task)
        task.add_done_callback(batches.remove)

    async def _drain(self, batches: list[asyncio.Task[None]]) -> None:
        """Give the slots that become free to the next segment, a few at a time."""
        handful = max(1, self._steering.slots // HANDOVERS)
        while batches:
            await self._tell_run(len(self._flights))
            least = max(0, len(batches) - handful)
            await workflow.wait_condition(functools.partial(_shrunk_to, batches, least))
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _run_batch(self, batch: int) -> None:
        try:
            submitted = await self._submit(batch)
            if submitted.job is not None:
                await self._watch(batch, submitted, submitted.job)
            elif submitted.begun:
                self._count(submitted.counts)
            else:
                self._begun -= 1
        except ActivityError as error:
            self._failed = self._failed or error
        finally:
            self._flights.pop(batch, None)

    async def _submit(self, batch: int) -> SubmittedBatch:
        """Submit once; a stop lets the activity say itself whether the Hub has heard of the batch."""
        request = SubmitBatch(
            run=self._segment.run,
            round=self._segment.round,
            manifest=self._segment.manifest,
            batch=batch,
            order=self._segment.order,
            intended_us=_micros(),
        )
        handle = workflow.start_activity_method(Submits.submit_batch, request, **SUBMIT)
        self._submits[batch] = handle
        try:
            return await handle
        except ActivityError:
            if not self._steering.stop:
                raise
        finally:
            del self._submits[batch]
        # Interrupted by the stop: only a look at the Hub can tell whether there is a job to cancel.
        seek = request.model_copy(update={"seek_only": True})
        return await workflow.execute_activity_method(Submits.submit_batch, seek, **SUBMIT)

    async def _watch(self, batch: int, submitted: SubmittedBatch, job: int) -> None:
        self._jobs += 1
        self._flights[batch] = self._flights[batch].model_copy(update={"job": job})
        if self._steering.stop:
            await self._cancel([job], self._steering.stop)
        result: JobResult = await workflow.execute_activity_method(
            Jobs.watch_job,
            WatchJob(
                run=self._segment.run,
                round=self._segment.round,
                manifest=self._segment.manifest,
                batch=batch,
                job=job,
                submitted_us=submitted.submitted_us,
                order=self._segment.order,
            ),
            **watching(self._segment.order.job_timeout),
        )
        self._count(result.counts)

    async def _stop_flights(self) -> None:
        stop = self._steering.stop
        assert stop is not None
        for handle in list(self._submits.values()):
            handle.cancel()
        jobs = [flight.job for flight in self._flights.values() if flight.job is not None]
        if jobs:
            await self._cancel(jobs, stop)

    async def _cancel(self, jobs: list[int], stop: Stop) -> None:
        request = CancelJobs(
            run=self._segment.run, site=self._segment.order.site, jobs=tuple(jobs), actor=stop.by, why=stop.why
        )
        try:
            await workflow.execute_activity_method(Jobs.cancel_jobs, request, **CANCEL_JOBS)
        except ActivityError as error:
            # Raised from here it would end the workflow and leave the watches alone: they tell how the jobs end.
            self._failed = self._failed or error

    async def _tell_run(self, in_flight: int) -> None:
        parent = workflow.info().parent
        if parent is None or not self._segment.followed:
            return
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        try:
            await handle.signal(SEGMENT_DRAINS, Draining(segment=workflow.info().workflow_id, in_flight=in_flight))
        except FailureError:
            workflow.logger.warning("the run did not hear that its segment drains")

    def _count(self, counts: OutcomeCounts) -> None:
        self._counts = self._counts.plus(counts)
        self._ended += 1


def _shrunk_to(batches: list[asyncio.Task[None]], least: int) -> bool:
    return len(batches) <= least


def _micros() -> int:
    return round(workflow.now().timestamp() * 1_000_000)
