"""The activity that turns a batch into one Hub job: looks at the files again, sends them once, claims the job."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.errors import Permanent, Retryable
from activities.heartbeat import beating
from activities.hub.client import Hub
from activities.hub.jobs import SubmitRequest
from activities.manifests import Batch, read_batch
from activities.recheck import changed
from activities.settled import BatchOutcome, FileException, read_skips, settle_batch, write_skips
from activities.storage import Storage
from activities.submission import LONGEST_WAIT, Claim, Submission, Unsettled, micros
from workflows.order import JobOrder
from workflows.payload import Payload
from workflows.plan import OutcomeCounts


class SubmitBatch(Payload):
    """Send one batch of a manifest; `intended_us` is when the workflow decided so, in microseconds.

    `seek_only` sends nothing: an earlier submit was interrupted, and its job, if there is one, is wanted.
    """

    run: str
    round: int
    manifest: str
    batch: int
    order: JobOrder
    intended_us: int
    seek_only: bool = False


class SubmittedBatch(Payload):
    """The Hub's job. Without one, `counts` is final for the batch, or nothing of it was `begun`."""

    job: int | None
    submitted_us: int
    begun: bool = True
    counts: OutcomeCounts = OutcomeCounts()


class Stopping:
    """Whether the run was stopped while a submit was on its way."""

    def __init__(self, stopped: bool) -> None:
        self.stopped = stopped

    def __call__(self) -> bool:
        """Tell whether nothing more is to be sent."""
        return self.stopped


@dataclass
class Submits:
    """The activity; one instance serves a worker."""

    hub: Hub
    storage: Storage
    audit: Audit

    @activity.defn
    async def submit_batch(self, request: SubmitBatch) -> SubmittedBatch:
        """Look at the batch's files again, then send those that are as planned; never twice."""
        waits_for: list[str | None] = [None]
        stopping = Stopping(request.seek_only)
        async with beating(lambda: {"waits_for": waits_for[0]}):
            batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, request.batch)
            work = asyncio.create_task(self._submit(request, batch, stopping, waits_for))
            return await _until_certain(work, stopping)

    async def _submit(
        self, request: SubmitBatch, batch: Batch, stopping: Stopping, waits_for: list[str | None]
    ) -> SubmittedBatch:
        skips: list[FileException] | None = []
        try:
            skips = await self._recheck(request, batch, stopping, waits_for)
            if skips is None:
                return SubmittedBatch(job=None, submitted_us=micros(), begun=False)
            sent = batch.without({skip.ordinal for skip in skips})
            if not sent.paths:
                return await self._ended(request, batch, [])
            job = await self._send(request, sent, stopping, waits_for)
        except (Permanent, Unsettled) as error:
            return await self._ended(request, batch, _refused(batch, skips or [], error))
        return SubmittedBatch(job=job, submitted_us=micros(), begun=job is not None)

    async def _recheck(
        self, request: SubmitBatch, batch: Batch, stopping: Stopping, waits_for: list[str | None]
    ) -> list[FileException] | None:
        """Decide once what is left out, so that every further attempt looks for the same set of paths.

        None when the run was stopped before that: nothing was sent, since the decision comes first.
        """
        if not request.order.compare:
            return []
        place = (request.run, request.round, request.batch)
        decided = await asyncio.to_thread(read_skips, self.storage, *place)
        while decided is None and not stopping():
            try:
                decided = await changed(self.hub, request.order, batch)
            except Retryable as error:
                waits_for[0] = f"the Hub: {error}"
                await asyncio.sleep(error.retry_after or LONGEST_WAIT / 3)
            else:
                waits_for[0] = None
                await asyncio.to_thread(write_skips, self.storage, *place, decided)
        if decided:
            body = {"round": request.round, "batch": request.batch, "reasons": {"changed": len(decided)}}
            key = record_key(request.run, "files.skipped", request.round, request.batch)
            await self.audit.write(
                AuditRecord(event="files.skipped", actor="engine", run=request.run, key=key, body=body)
            )
        return decided

    async def _send(
        self, request: SubmitBatch, sent: Batch, stopping: Stopping, waits_for: list[str | None]
    ) -> int | None:
        submission = Submission(
            self.hub,
            self.audit,
            _claim(request, sent),
            _hub_request(request.order, sent),
            again=sent.job if request.order.resubmit else None,
            stopped=stopping,
            tell=lambda why: waits_for.__setitem__(0, why),
        )
        return await submission.send(in_doubt=request.seek_only or activity.info().attempt > 1)

    async def _ended(self, request: SubmitBatch, batch: Batch, refused: list[FileException]) -> SubmittedBatch:
        counts = await asyncio.to_thread(
            settle_batch,
            self.storage,
            request.run,
            request.round,
            request.batch,
            batch,
            BatchOutcome(job=None, files=tuple(refused)),
        )
        return SubmittedBatch(job=None, submitted_us=micros(), counts=counts)


async def _until_certain(work: "asyncio.Task[SubmittedBatch]", stopping: Stopping) -> SubmittedBatch:
    """Let a try that is under way end before a cancellation counts; a worker that stops hands over at once."""
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if work.cancelled() or stopping() or (details is not None and details.worker_shutdown):
                work.cancel()
                raise
            stopping.stopped = True


def _hub_request(order: JobOrder, batch: Batch) -> SubmitRequest:
    return SubmitRequest(
        site=order.site,
        workflow=order.workflow,
        paths=tuple(batch.paths),
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


def _refused(batch: Batch, skips: list[FileException], error: Exception) -> list[FileException]:
    """A batch that the Hub refuses failed; one that it may hold all the same is not to be sent again."""
    reason = "aborted" if isinstance(error, Unsettled) else "hub_error"
    left = batch.without({skip.ordinal for skip in skips})
    return [FileException(ordinal, "failed", reason, f"{type(error).__name__}: {error}") for ordinal in left.ordinals]
