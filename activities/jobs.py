"""What a run does with the Hub's jobs: submit a batch once, watch a job to its end, cancel jobs."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.errors import HubError, NotFound, Permanent, Retryable, as_application_error
from activities.heartbeat import beating
from activities.hub import jobs as hub_jobs
from activities.hub.client import Hub
from activities.hub.jobs import SubmitRequest
from activities.hub.states import DELETED, SKIPPED, SUCCESS
from activities.manifests import Batch, read_batch
from activities.poller import JobPoller, Watched
from activities.recheck import changed
from activities.settled import BatchOutcome, FileException, read_skips, settle_batch, write_skips
from activities.settling import Ending, exceptions
from activities.storage import Storage
from activities.submission import Claim, Submission, micros
from workflows.order import JobOrder
from workflows.payload import Payload
from workflows.plan import OutcomeCounts

CANCEL_GRACE = timedelta(minutes=5)
"""How long the Hub may take to end a job that it was told to cancel."""
PROGRESS_EVERY_US = 10_000_000
ENDED_BY_CANCEL = ("CANCELLED", "REVOKED")


class SubmitBatch(Payload):
    """Send one batch of a manifest; `intended_us` is when the workflow decided so, in microseconds."""

    run: str
    round: int
    manifest: str
    batch: int
    order: JobOrder
    intended_us: int


class SubmittedBatch(Payload):
    """The Hub's job; without one nothing was left to send and `counts` is final for the batch."""

    job: int | None
    submitted_us: int
    counts: OutcomeCounts = OutcomeCounts()


class WatchJob(Payload):
    """Follow a job to its end and settle the batch that it was made for."""

    run: str
    round: int
    manifest: str
    batch: int
    job: int
    submitted_us: int
    order: JobOrder


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


class Watch(Payload):
    """The heartbeat of a watch: what an operator sees, and what the next attempt must know."""

    job: int
    word: str | None = None
    progress: float | None = None
    moved_us: int
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

    @activity.defn
    async def submit_batch(self, request: SubmitBatch) -> SubmittedBatch:
        """Look at the batch's files again, then send those that are as planned; never twice."""
        batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, request.batch)
        waits: list[Submission] = []
        async with beating(lambda: {"waits_for": waits[0].waits_for if waits else None}):
            skips = await self._recheck(request, batch)
            paths = _without(batch, skips)
            if not paths:
                return await self._nothing_to_send(request, batch, [])
            submission = Submission(
                self.hub,
                self.audit,
                _claim(request, batch),
                _hub_request(request.order, paths),
                again=batch.job if request.order.resubmit else None,
            )
            waits.append(submission)
            try:
                job = await self._send(submission)
            except Permanent as error:
                return await self._nothing_to_send(request, batch, _refused(batch, skips, error))
        if job is None:
            raise asyncio.CancelledError
        return SubmittedBatch(job=job, submitted_us=micros())

    @activity.defn
    async def watch_job(self, request: WatchJob) -> JobResult:
        """Wait for the job's end, cancelling one that stands still or lasts too long, then settle every file."""
        watch = _resumed(request)
        async with (
            beating(lambda: watch[0]),
            self.poller.follow(request.order.site, request.job, request.submitted_us) as watched,
        ):
            ending = await self._follow(request, watched, watch)
            return await self._settle(request, watched, ending)

    @activity.defn
    async def cancel_jobs(self, request: CancelJobs) -> None:
        """Cancel every job that is still there; one that is over or gone needs nothing."""
        async with beating(lambda: None):
            for job in request.jobs:
                await self._cancel_one(request, job)
        self.poller.hurry(request.jobs)

    # Submitting.

    async def _recheck(self, request: SubmitBatch, batch: Batch) -> list[FileException]:
        """Decide once what is left out, so that every further attempt looks for the same set of paths."""
        if not request.order.compare:
            return []
        decided = await self._skips(request)
        if decided is None:
            decided = await changed(self.hub, request.order, batch)
            await asyncio.to_thread(write_skips, self.storage, request.run, request.round, request.batch, decided)
        if decided:
            body = {"round": request.round, "batch": request.batch, "reasons": {"changed": len(decided)}}
            await self._record("files.skipped", request.run, (request.round, request.batch), body)
        return decided

    async def _send(self, submission: Submission) -> int | None:
        """Let a try that is under way end before a cancellation counts; a worker that stops hands over."""
        stop = asyncio.Event()
        sending = asyncio.create_task(submission.send(in_doubt=activity.info().attempt > 1, stopped=stop.is_set))
        while True:
            try:
                return await asyncio.shield(sending)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if sending.cancelled() or (details is not None and details.worker_shutdown):
                    sending.cancel()
                    raise
                stop.set()

    async def _nothing_to_send(
        self, request: SubmitBatch, batch: Batch, refused: list[FileException]
    ) -> SubmittedBatch:
        counts = await self._write_outcome(request, batch, refused, None)
        return SubmittedBatch(job=None, submitted_us=micros(), counts=counts)

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
            if state is not None and state.final:
                return _ending(request.job, state.word, watch[0])
            if watch[0].cancelled_us is not None:
                if now - watch[0].cancelled_us > _us(CANCEL_GRACE):
                    return Ending("failed", "aborted", f"job {request.job} did not end after it was cancelled")
            elif now > deadline_us:
                why = f"job {request.job} lasted longer than run.job_timeout ({order.job_timeout})"
                watch[0] = await self._give_up(request, watch[0], why)
            elif order.stall_after and not _is_paused(watched) and now - watch[0].moved_us > _us(order.stall_after):
                why = f"job {request.job} made no progress for {order.stall_after} (run.stall_after)"
                watch[0] = await self._give_up(request, watch[0], why)

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
        self.poller.hurry((request.job,))
        return watch.model_copy(update={"cancelled_us": micros(), "cancelled_why": why})

    async def _settle(self, request: WatchJob, watched: Watched, ending: Ending) -> JobResult:
        batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, request.batch)
        sent = _sent(batch, await self._skips(request) or [])
        try:
            found = await exceptions(self.hub, request.job, sent, request.order, ending)
        except HubError as error:
            raise as_application_error(error) from error
        state = watched.state.word if watched.state else "UNKNOWN"
        counts = await self._write_outcome(request, batch, found, request.job)
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

    # Shared.

    async def _write_outcome(
        self, request: SubmitBatch | WatchJob, batch: Batch, found: list[FileException], job: int | None
    ) -> OutcomeCounts:
        outcome = BatchOutcome(job=job, files=tuple(found))
        return await asyncio.to_thread(
            settle_batch, self.storage, request.run, request.round, request.batch, batch, outcome
        )

    async def _skips(self, request: SubmitBatch | WatchJob) -> list[FileException] | None:
        return await asyncio.to_thread(read_skips, self.storage, request.run, request.round, request.batch)

    async def _cancel_one(self, request: CancelJobs, job: int) -> None:
        try:
            await hub_jobs.cancel(self.hub, job)
        except NotFound:
            return
        except Permanent as error:
            raise as_application_error(error) from error
        body = {"site": request.site, "job": job, "reason": request.why}
        await self._record("job.cancelled", request.run, (job,), body, actor=request.actor)

    async def _record(
        self, event: str, run: str, parts: tuple[object, ...], body: dict[str, object], actor: str = "engine"
    ) -> None:
        await self.audit.write(
            AuditRecord(event=event, actor=actor, run=run, key=record_key(run, event, *parts), body=body)
        )


def _hub_request(order: JobOrder, paths: list[str]) -> SubmitRequest:
    return SubmitRequest(
        site=order.site,
        workflow=order.workflow,
        paths=tuple(paths),
        discovery=order.discovery,
        queue=order.queue,
        fields=order.fields,
    )


def _claim(request: SubmitBatch, batch: Batch) -> Claim:
    return Claim(
        run=request.run,
        round=request.round,
        batch=request.batch,
        digest=batch.digest,
        intended_us=request.intended_us,
        bytes=batch.bytes,
    )


def _without(batch: Batch, skips: list[FileException]) -> list[str]:
    left_out = {skip.ordinal for skip in skips}
    return [path for path, ordinal in zip(batch.paths, batch.ordinals, strict=True) if ordinal not in left_out]


def _sent(batch: Batch, skips: list[FileException]) -> Batch:
    left_out = {skip.ordinal for skip in skips}
    keep = [index for index, ordinal in enumerate(batch.ordinals) if ordinal not in left_out]
    return Batch(
        number=batch.number,
        ordinals=[batch.ordinals[index] for index in keep],
        paths=[batch.paths[index] for index in keep],
        sizes=[batch.sizes[index] for index in keep],
        modified_us=[batch.modified_us[index] for index in keep],
        digest=batch.digest,
        job=batch.job,
    )


def _refused(batch: Batch, skips: list[FileException], error: Permanent) -> list[FileException]:
    return [
        FileException(ordinal, "failed", "hub_error", f"{type(error).__name__}: {error}")
        for ordinal in _sent(batch, skips).ordinals
    ]


def _resumed(request: WatchJob) -> list[Watch]:
    """Take over what the last attempt had seen, so that its stall clock and its cancel still count."""
    details = activity.info().heartbeat_details
    if details:
        return [Watch.model_validate(details[0])]
    return [Watch(job=request.job, moved_us=micros())]


def _seen(watch: Watch, watched: Watched, now_us: int) -> Watch:
    """Fold the newest answer into the heartbeat; any change of word or progress is a move."""
    state = watched.state
    if state is None or watched.trouble:
        # A Hub that is away is no job that stands still: the clock starts again when it answers.
        return watch.model_copy(update={"trouble": watched.trouble, "moved_us": now_us})
    progress = state.progress if state.progress is not None else watched.progress
    moved = (state.word, progress) != (watch.word, watch.progress) or _is_paused(watched)
    return watch.model_copy(
        update={
            "word": state.word,
            "progress": progress,
            "moved_us": now_us if moved else watch.moved_us,
            "trouble": None,
        }
    )


def _is_paused(watched: Watched) -> bool:
    return watched.state is not None and watched.state.word in ("PAUSED", "PAUSING")


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
