"""What a run does with the jobs that it has at the Hub: watch one to its end and settle its files, cancel some."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.claiming import Claiming
from activities.claims import Place
from activities.errors import HubError, NotFound, Permanent, Retryable, as_application_error
from activities.heartbeat import beating
from activities.hub import jobs as hub_jobs
from activities.hub import sites
from activities.hub.client import Hub
from activities.hub.states import DELETED, SKIPPED, SUCCESS
from activities.manifests import read_batch
from activities.poller import JobPoller, Watched
from activities.settled import BatchOutcome, read_skips, settle_batch
from activities.settling import Ending, exceptions
from activities.storage import Storage
from activities.submission import micros
from workflows.order import JobOrder
from workflows.payload import Payload
from workflows.plan import OutcomeCounts

CANCEL_GRACE = timedelta(minutes=5)
"""How long the Hub may take to end a job that it was told to cancel."""
PROGRESS_EVERY_US = 10_000_000
DELETED_FOR = timedelta(seconds=20)
"""How long the Hub must deny a job, while it answers otherwise, before the job counts as deleted."""
CANCELS_AT_ONCE = 16
QUEUED = ("NEW", "PENDING", "RECEIVED")
PAUSED = ("PAUSED", "PAUSING")
ENDED_BY_CANCEL = ("CANCELLED", "REVOKED")


class WatchJob(Payload):
    """Follow a job to its end and settle the batch that it was made for.

    With `pauses` the run itself may pause it, and its time-out does not count that time.
    """

    run: str
    round: int
    manifest: str
    batch: int
    job: int
    submitted_us: int
    order: JobOrder
    pauses: bool = False


class JobResult(Payload):
    """How a job ended, in the Hub's word, and its files in ours."""

    job: int
    state: str
    counts: OutcomeCounts


class CancelJobs(Payload):
    """Ask the Hub to cancel jobs, on whose word and why."""

    run: str
    site: str
    jobs: tuple[int, ...]
    actor: str
    why: str


class HoldJobs(Payload):
    """Ask the Hub to pause jobs, or to resume them, and why; `at_us` tells one pause of a job from another."""

    run: str
    site: str
    jobs: tuple[int, ...]
    resume: bool
    why: str
    at_us: int


class Watch(Payload):
    """The heartbeat of a watch: what an operator sees, and what the next attempt must know."""

    job: int
    word: str | None = None
    progress: float | None = None
    moved_us: int
    seen_us: int = 0
    paused_us: int = 0
    denied_us: int | None = None
    cancelled_us: int | None = None
    cancelled_why: str | None = None
    trouble: str | None = None


@dataclass
class Jobs:
    """The activities around the Hub's jobs; one instance serves a worker."""

    hub: Hub
    storage: Storage
    audit: Audit
    poller: JobPoller
    claiming: Claiming

    @activity.defn
    async def watch_job(self, request: WatchJob) -> JobResult:
        """Wait for the job's end, cancelling one that stands still or lasts too long, then settle every file."""
        watch = _resumed(request)
        place = Place(request.run, request.round, request.batch)
        async with (
            beating(lambda: watch[0]),
            self.claiming.keeping(place, request.job),
            self.poller.follow(request.order.site, request.job, request.submitted_us) as watched,
        ):
            ending = await self._follow(request, watched, watch)
            result = await self._settle(request, watched, ending)
            if ending.over:
                await self.claiming.release(place)
            return result

    @activity.defn
    async def cancel_jobs(self, request: CancelJobs) -> None:
        """Cancel every job that is still there; one that is over or gone needs nothing."""
        lanes = asyncio.Semaphore(CANCELS_AT_ONCE)

        async def one(job: int) -> None:
            async with lanes:
                await self._cancel_one(request, job)

        async with beating(lambda: None):
            await asyncio.gather(*(one(job) for job in request.jobs))
        self.poller.hurry(request.site, request.jobs)

    @activity.defn
    async def hold_jobs(self, request: HoldJobs) -> None:
        """Pause or resume every job that is still there; a second time changes nothing."""
        lanes = asyncio.Semaphore(CANCELS_AT_ONCE)

        async def one(job: int) -> None:
            async with lanes:
                await self._hold_one(request, job)

        async with beating(lambda: None):
            await asyncio.gather(*(one(job) for job in request.jobs))
        self.poller.hurry(request.site, request.jobs)

    # Watching.

    async def _follow(self, request: WatchJob, watched: Watched, watch: list[Watch]) -> Ending:
        order = request.order
        deadline_us = request.submitted_us + _us(order.job_timeout)
        while True:
            await watched.wait(1.0)
            await self._ask_progress(request, watched, watch[0])
            now = micros()
            watch[0] = _seen(watch[0], watched, now)
            state = watched.state
            if state is not None and state.final and await self._is_believed(request, watch[0]):
                return _ending(request.job, state.word, watch[0])
            if watch[0].cancelled_us is not None:
                if now - watch[0].cancelled_us > _us(CANCEL_GRACE):
                    return Ending(
                        "failed", "aborted", f"job {request.job} did not end after it was cancelled", over=False
                    )
            elif now > deadline_us + (watch[0].paused_us if request.pauses else 0):
                why = f"job {request.job} lasted longer than run.job_timeout ({order.job_timeout})"
                watch[0] = await self._give_up(request, watch[0], why)
            elif order.stall_after and now - watch[0].moved_us > _us(order.stall_after):
                why = f"job {request.job} made no progress for {order.stall_after} (run.stall_after)"
                watch[0] = await self._give_up(request, watch[0], why)

    async def _is_believed(self, request: WatchJob, watch: Watch) -> bool:
        """Tell whether a job is over; that it does not exist any more must be said for a while, and by the Hub."""
        if watch.denied_us is None:
            return True
        if micros() - watch.denied_us < _us(DELETED_FOR):
            return False
        return await sites.answers(self.hub, request.order.site)

    async def _ask_progress(self, request: WatchJob, watched: Watched, watch: Watch) -> None:
        """Ask for the progress of a job that the list shows without one, a few times within `stall_after`."""
        state, stall = watched.state, request.order.stall_after
        if state is None or state.final or state.progress is not None or stall is None:
            return
        if micros() - watch.moved_us < min(_us(stall) / 4, PROGRESS_EVERY_US):
            return
        try:
            watched.progress = await hub_jobs.progress(self.hub, request.job)
        except HubError as error:
            watched.trouble = str(error)

    async def _give_up(self, request: WatchJob, watch: Watch, why: str) -> Watch:
        cancel = CancelJobs(run=request.run, site=request.order.site, jobs=(request.job,), actor="engine", why=why)
        try:
            await self._cancel_one(cancel, request.job)
        except Retryable as error:
            return watch.model_copy(update={"trouble": str(error)})
        self.poller.hurry(request.order.site, (request.job,))
        return watch.model_copy(update={"cancelled_us": micros(), "cancelled_why": why})

    async def _settle(self, request: WatchJob, watched: Watched, ending: Ending) -> JobResult:
        batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, request.batch)
        place = (request.run, request.round, request.batch)
        skips = await asyncio.to_thread(read_skips, self.storage, *place)
        sent = batch.without({skip.ordinal for skip in skips or ()})
        try:
            found = await exceptions(self.hub, request.job, sent, request.order, ending)
        except HubError as error:
            raise as_application_error(error) from error
        state = watched.state.word if watched.state else "UNKNOWN"
        outcome = BatchOutcome(job=request.job, files=tuple(found))
        counts = await asyncio.to_thread(settle_batch, self.storage, *place, batch, outcome)
        body = {
            "site": request.order.site,
            "job": request.job,
            "round": request.round,
            "batch": request.batch,
            "state": state,
            "files": len(sent.paths),
            "counts": counts.model_dump(mode="json"),
        }
        await self._record("job.ended", request.run, (request.round, request.batch, request.job), body)
        return JobResult(job=request.job, state=state, counts=counts)

    async def _cancel_one(self, request: CancelJobs, job: int) -> None:
        try:
            await hub_jobs.cancel(self.hub, job)
        except NotFound:
            return
        except Permanent as error:
            # The job goes on and its watch tells how it ended; the other jobs are still to be cancelled.
            body = {"site": request.site, "job": job, "reason": request.why, "refusal": str(error)}
            await self._record("job.cancel_refused", request.run, (job,), body, actor=request.actor)
            return
        body = {"site": request.site, "job": job, "reason": request.why}
        await self._record("job.cancelled", request.run, (job,), body, actor=request.actor)

    async def _hold_one(self, request: HoldJobs, job: int) -> None:
        event, act = ("job.resumed", hub_jobs.resume) if request.resume else ("job.paused", hub_jobs.pause)
        body: dict[str, object] = {"site": request.site, "job": job, "reason": request.why, "refusal": None}
        try:
            await act(self.hub, job)
        except NotFound:
            return
        except Permanent as error:  # The job goes on, or stays as it is; its watch tells how it ends.
            body["refusal"] = str(error)
        await self._record(event, request.run, (job, request.at_us), body)

    async def _record(
        self, event: str, run: str, parts: tuple[object, ...], body: dict[str, object], actor: str = "engine"
    ) -> None:
        await self.audit.write(
            AuditRecord(event=event, actor=actor, run=run, key=record_key(run, event, *parts), body=body)
        )


def _resumed(request: WatchJob) -> list[Watch]:
    """Take over what the last attempt had seen, so that its stall clock and its cancel still count."""
    details = activity.info().heartbeat_details
    if details:
        return [Watch.model_validate(details[0])]
    return [Watch(job=request.job, moved_us=micros())]


def _seen(watch: Watch, watched: Watched, now_us: int) -> Watch:
    """Fold the newest answer into the heartbeat; a job stands still only while it is on and says the same again."""
    state = watched.state
    if state is None or watched.trouble:
        # A Hub that is away is no job that stands still: the clock starts again when it answers.
        return watch.model_copy(update={"trouble": watched.trouble, "moved_us": now_us})
    progress = state.progress if state.progress is not None else watched.progress
    waited = now_us - watch.seen_us if watch.word in PAUSED else 0
    moved = (state.word, progress) != (watch.word, watch.progress) or state.word in (*QUEUED, *PAUSED)
    return watch.model_copy(
        update={
            "word": state.word,
            "progress": progress,
            "moved_us": now_us if moved else watch.moved_us,
            "seen_us": now_us,
            "paused_us": watch.paused_us + waited,
            "denied_us": (watch.denied_us or now_us) if state.word == DELETED else None,
            "trouble": None,
        }
    )


def _ending(job: int, word: str, watch: Watch) -> Ending:
    if watch.cancelled_why is not None:
        return Ending("failed", "timeout", watch.cancelled_why)
    if word in ENDED_BY_CANCEL:
        return Ending("cancelled", None, f"job {job} was cancelled")
    if word == DELETED:
        return Ending("failed", "unknown", f"job {job} was deleted in the Hub before its end was seen")
    message = f"the Hub says nothing final of this file after job {job} ended {word}"
    return Ending("failed", "unknown", message, succeeded=word in (SUCCESS, SKIPPED))


def _us(span: timedelta) -> int:
    return round(span.total_seconds() * 1_000_000)
