"""The activity that turns a batch into one Hub job: looks at the files again, sends them once, claims the job."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TypedDict

from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.claiming import Claiming
from activities.claims import Claim, Full, Place
from activities.errors import Permanent, Retryable
from activities.heartbeat import beating
from activities.hub.client import Hub
from activities.hub.jobs import SubmitRequest
from activities.limits import JobLimits, Lane
from activities.manifests import Batch, read_batch
from activities.recheck import changed
from activities.settled import BatchOutcome, FileException, read_settled, read_skips, settle_batch, write_skips
from activities.storage import Storage
from activities.submission import LONGEST_WAIT, Outdated, Sender, Submission, Unsettled, micros
from workflows.opening import is_late
from workflows.order import JobOrder
from workflows.payload import Payload
from workflows.plan import OutcomeCounts

LIMIT_LOOK = 1.0
"""Seconds between two looks whether a limit that is reached lets another batch in."""
FRESH_FOR = 60.0
"""Seconds for which a look at the files counts: a Hub that was away longer finds them looked at again."""


class SubmitBatch(Payload):
    """Send one batch of a manifest; `intended_us` is when the workflow decided so, in microseconds.

    `seek_only` sends nothing: an earlier submit was interrupted, and its job, if there is one, is wanted.
    `not_after_us` is when the window closes: nothing is sent after it. The jobs of `cut_jobs` had the batch before, and
    were cancelled when a window closed: only what they left undone is sent.
    """

    run: str
    round: int
    manifest: str
    batch: int
    order: JobOrder
    intended_us: int
    seek_only: bool = False
    not_after_us: int | None = None
    cut_jobs: tuple[int, ...] = ()


class SubmittedBatch(Payload):
    """The Hub's job, and what it was given. Without one, `counts` is final, or nothing was `begun`."""

    job: int | None
    submitted_us: int
    files: int = 0
    bytes: int = 0
    begun: bool = True
    counts: OutcomeCounts = OutcomeCounts()


class Stopping:
    """Whether the run was stopped, or its window closed, while a submit was on its way."""

    def __init__(self, request: SubmitBatch) -> None:
        self.stopped = request.seek_only
        self._not_after_us = request.not_after_us

    def __call__(self) -> bool:
        """Tell whether nothing more is to be sent."""
        return self.stopped or self.late()

    def is_stopped(self) -> bool:
        """Tell whether the run was stopped."""
        return self.stopped

    def late(self) -> bool:
        """Tell whether the window has closed."""
        return is_late(micros(), self._not_after_us)


class ClaimKind(TypedDict):
    """How the files of a batch are claimed."""

    trees: bool
    job: int | None


@dataclass
class Decision:
    """What is left out of a batch, the claim on the rest, and when the files were looked at: not by this attempt."""

    skips: list[FileException]
    claim: Claim
    made: float = float("-inf")


@dataclass
class Submits:
    """The activity; one instance serves a worker."""

    hub: Hub
    storage: Storage
    audit: Audit
    claiming: Claiming
    limits: JobLimits

    @activity.defn
    async def submit_batch(self, request: SubmitBatch) -> SubmittedBatch:
        """Claim the batch's files, look at them again, then send those that are as planned; never twice."""
        waits_for: list[str | None] = [None]
        stopping = Stopping(request)
        async with beating(lambda: {"waits_for": waits_for[0]}), self.claiming.keeping(_place(request)):
            batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, request.batch)
            work = asyncio.create_task(self._submit(request, batch, stopping, waits_for))
            return await _until_certain(work, stopping)

    async def _submit(
        self, request: SubmitBatch, batch: Batch, stopping: Stopping, waits_for: list[str | None]
    ) -> SubmittedBatch:
        decision: Decision | None = None
        try:
            decision, job = await self._decide_and_send(request, batch, stopping, waits_for)
        except Unsettled as error:
            # The claim stays: whoever wants the files next has to ask the Hub about them first.
            return await self._ended(request, batch, error)
        except Permanent as error:
            ended = await self._ended(request, batch, error)
            await self.claiming.release(_place(request), _turn())
            return ended
        if job is not None:
            sent = _without(batch, decision.skips if decision is not None else [])
            return SubmittedBatch(job=job, submitted_us=micros(), files=len(sent.paths), bytes=sent.bytes)
        if decision is not None and len(decision.skips) == len(batch.paths):
            ended = await self._ended(request, batch)
        else:
            ended = SubmittedBatch(job=None, submitted_us=micros(), begun=False)
        await self.claiming.release(_place(request), _turn())
        return ended

    async def _decide_and_send(
        self, request: SubmitBatch, batch: Batch, stopping: Stopping, waits_for: list[str | None]
    ) -> tuple[Decision | None, int | None]:
        """Send what is decided, and decide again as often as the decision has aged before anything was sent.

        What an earlier attempt decided, it may have sent: that set of paths is looked for first.
        """
        decision, claimed = None, _follows_another(request)
        if claimed:
            decision = await self._decided_before(request, batch)
        in_doubt = again = decision is not None
        while True:
            if decision is None:
                decision = await self._decide(request, batch, stopping, waits_for, again=again, claimed=claimed)
            if decision is None or len(decision.skips) == len(batch.paths):
                return decision, None
            try:
                return decision, await self._send(request, batch, decision, stopping, waits_for, in_doubt=in_doubt)
            except Outdated:
                decision, in_doubt, again, claimed = None, False, True, True

    async def _decided_before(self, request: SubmitBatch, batch: Batch) -> Decision | None:
        """Give what an earlier attempt decided and may have sent; None when it has sent nothing, and never will.

        The claim comes first: an attempt writes down what it leaves out, then asks for its claim, then sends.
        """
        claim = await self.claiming.take_over(
            _place(request), request.order.site, batch, turn=_turn(), lane=_lane(request), **_kind(request, batch)
        )
        skips = await asyncio.to_thread(read_skips, self.storage, *_key(request))
        settled = await asyncio.to_thread(self._settled_before, request, batch)
        if skips is None and not request.order.compare and not settled:
            skips = []  # nothing is written down where nothing is compared or left out
        if skips is None or {one.ordinal for one in settled} - {one.ordinal for one in skips}:
            return None  # what is written was decided before a job of the batch was cut short
        return Decision(skips, claim)

    async def _decide(
        self,
        request: SubmitBatch,
        batch: Batch,
        stopping: Stopping,
        waits_for: list[str | None],
        *,
        again: bool,
        claimed: bool,
    ) -> Decision | None:
        """Claim the files and look at them, then write down what is left out, before anything is sent.

        None when the run was stopped before that.
        """
        order = request.order
        settled = await asyncio.to_thread(self._settled_before, request, batch)
        open_ones = _without(batch, settled)
        while not stopping():
            limits = await self.limits.on(_lane(request))
            try:
                taken = await self.claiming.claim(
                    _place(request),
                    order.site,
                    open_ones,
                    turn=_turn(),
                    again=claimed,
                    lane=_lane(request),
                    limits=limits,
                    **_kind(request, batch),
                )
                if isinstance(taken, Full):
                    waits_for[0] = f"a job to end, since {taken.limit}"
                    await asyncio.sleep(LIMIT_LOOK)
                    continue
                claim, lost = taken
                claimed = True
                began = time.monotonic()
                ours = _without(open_ones, lost)
                found = await changed(self.hub, order, ours) if order.compare and ours.paths else []
            except Retryable as error:
                claimed = True  # the claim came first, before anything was asked of the Hub
                waits_for[0] = f"the Hub: {error}"
                await asyncio.sleep(error.retry_after or LONGEST_WAIT / 3)
                continue
            waits_for[0] = None
            if not await self.claiming.still_has(claim):
                continue  # a later attempt may have written down by now what it leaves out
            decision = Decision(sorted([*settled, *lost, *found]), claim, began)
            if decision.skips or order.compare or again:
                # Nothing written says the same as nothing left out, for a batch that is not compared.
                await asyncio.to_thread(write_skips, self.storage, *_key(request), decision.skips)
            await self._record_skips(request, sorted([*lost, *found]))
            return decision
        return None

    def _settled_before(self, request: SubmitBatch, batch: Batch) -> list[FileException]:
        """List the files of which a job that was cut short said how they ended; the others were cancelled with it."""
        outcome = read_settled(self.storage, *_key(request)) if request.cut_jobs else None
        if outcome is None:
            return []
        ended = {one.ordinal: one for one in outcome.files}
        all_of_them = (ended.get(ordinal) or FileException(ordinal, "done") for ordinal in batch.ordinals)
        return [one for one in all_of_them if one.outcome != "cancelled"]

    async def _record_skips(self, request: SubmitBatch, skips: list[FileException]) -> None:
        if not skips:
            return
        reasons = dict(sorted(Counter(skip.reason or skip.outcome for skip in skips).items()))
        body = {"round": request.round, "batch": request.batch, "reasons": reasons}
        # A batch may be decided again: what was found then is a record of its own.
        key = record_key(
            request.run,
            "files.skipped",
            request.round,
            request.batch,
            *(f"{reason}={files}" for reason, files in reasons.items()),
        )
        await self.audit.write(AuditRecord(event="files.skipped", actor="engine", run=request.run, key=key, body=body))

    async def _send(
        self,
        request: SubmitBatch,
        batch: Batch,
        decision: Decision,
        stopping: Stopping,
        waits_for: list[str | None],
        *,
        in_doubt: bool,
    ) -> int | None:
        sent = _without(batch, decision.skips)
        submission = Submission(
            self.hub,
            self.audit,
            _sender(request, sent),
            _hub_request(request.order, sent),
            # The Hub would send again what is left out now.
            again=sent.job if request.order.resubmit and not decision.skips and not request.cut_jobs else None,
            cut=request.cut_jobs,
            stopped=stopping.is_stopped,
            late=stopping.late,
            holds=lambda: self._holds(decision),
            tell=lambda why: waits_for.__setitem__(0, why),
        )
        return await submission.send(in_doubt=in_doubt, silent=decision.claim.silent)

    async def _holds(self, decision: Decision) -> bool:
        """Tell whether a decision may still be sent, as it is about to be: it is young, and its claim still ours."""
        if time.monotonic() - decision.made > FRESH_FOR:
            return False
        return await self.claiming.may_send(decision.claim)

    async def _ended(self, request: SubmitBatch, batch: Batch, error: Exception | None = None) -> SubmittedBatch:
        """Settle a batch that has no job: all was left out, or with `error` the rest of it failed."""
        skips = await asyncio.to_thread(read_skips, self.storage, *_key(request)) or []
        refused = [] if error is None else _refused(_without(batch, skips), error)
        counts = await asyncio.to_thread(
            settle_batch, self.storage, *_key(request), batch, BatchOutcome(job=None, files=tuple(refused))
        )
        return SubmittedBatch(job=None, submitted_us=micros(), counts=counts)


async def _until_certain(work: "asyncio.Task[SubmittedBatch]", stopping: Stopping) -> SubmittedBatch:
    """Let a try that is under way end before a cancellation counts; a worker that stops hands over at once."""
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if work.cancelled() or stopping.stopped or (details is not None and details.worker_shutdown):
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


def _sender(request: SubmitBatch, batch: Batch) -> Sender:
    return Sender(
        run=request.run,
        round=request.round,
        batch=request.batch,
        digest=batch.digest,
        intended_us=request.intended_us,
        bytes=batch.bytes,
    )


def _key(request: SubmitBatch) -> tuple[str, int, int]:
    return request.run, request.round, request.batch


def _place(request: SubmitBatch) -> Place:
    return Place(*_key(request))


def _lane(request: SubmitBatch) -> Lane:
    return Lane(request.order.site, request.order.queue, request.order.target or "")


def _follows_another(request: SubmitBatch) -> bool:
    """Tell whether an earlier attempt may have sent the batch, and may be at it still."""
    return request.seek_only or activity.info().attempt > 1


def _turn() -> int:
    """Give this attempt's place among all of its batch: Temporal's own time of it."""
    return int(activity.info().current_attempt_scheduled_time.timestamp() * 1_000_000)


def _kind(request: SubmitBatch, batch: Batch) -> ClaimKind:
    return {
        "trees": request.order.discovery is not None,
        "job": batch.job if request.order.resubmit and not request.cut_jobs else None,
    }


def _without(batch: Batch, skips: list[FileException]) -> Batch:
    return batch.without({skip.ordinal for skip in skips})


def _refused(batch: Batch, error: Exception) -> list[FileException]:
    """A batch that the Hub refuses failed; one that it may hold all the same is not to be sent again."""
    reason = "aborted" if isinstance(error, Unsettled) else "hub_error"
    return [FileException(ordinal, "failed", reason, f"{type(error).__name__}: {error}") for ordinal in batch.ordinals]
