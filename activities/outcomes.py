"""Activities on how files ended: what is tried again, and the final account; see `settled` for a single batch."""

import asyncio
from functools import partial
from pathlib import Path
from tempfile import gettempdir

from temporalio import activity

from activities.apart import Apart
from activities.batching import BatchLimits
from activities.bulk import Bulk
from activities.closing import FileOutcome, close_run, read_outcomes
from activities.forgiving import Forgiving
from activities.heartbeat import beating
from activities.manifests import Head, head_digest, read_head
from activities.rounds import make_round
from activities.settled import (
    BatchOutcome,
    Ended,
    FileException,
    read_settled,
    read_skips,
    settle_batch,
    write_skips,
)
from activities.staging import make_stage
from activities.storage import Storage
from workflows.control import permanent_reasons
from workflows.payload import Payload
from workflows.plan import OutcomeCounts
from workflows.policy import Batch, Retry

__all__ = [
    "BatchOutcome",
    "CloseRequest",
    "Closed",
    "Ended",
    "FileException",
    "FileOutcome",
    "NextRound",
    "NextStage",
    "Outcomes",
    "RoundRef",
    "Unreached",
    "read_outcomes",
    "read_settled",
    "read_skips",
    "settle_batch",
    "write_skips",
]


class NextRound(Payload):
    """A round that is over, by its number and manifest, and the policy's words on what is tried again."""

    run: str
    round: int
    manifest: str
    batches: int = 0
    retry: Retry
    batch: Batch


class RoundRef(Payload):
    """The manifest of the next round; no files means that nothing is left to try."""

    round: int
    manifest: str
    files: int
    bytes: int
    batches: int
    digest: str = ""
    head_sha256: str = ""


class NextStage(Payload):
    """A stage that is over: its rounds (number, manifest, batches), and the number of the round that comes next."""

    run: str
    round: int
    plan: str
    before: tuple[tuple[int, str, int], ...]
    batch: Batch


class Unreached(Ended):
    """How the files end that no batch accounts for."""


class CloseRequest(Payload):
    """A run that is over: its plan, its rounds (number, manifest, batches), and how files end that none reached.

    A success in one of the `passed` rounds is no end: another stage was to follow.
    The files that it did at the site have no failed tries any more, but those of other runs since `began_us`.
    """

    run: str
    plan: str
    rounds: tuple[tuple[int, str, int], ...]
    unreached: Unreached | None = None
    site: str = ""
    began_us: int = 0
    passed: tuple[int, ...] = ()


class Closed(Payload):
    """The final account: the table in the storage, the SHA-256 of its bytes, and the exact counts."""

    outcomes: str
    digest: str
    counts: OutcomeCounts


class Outcomes:
    """The activities that read and join the outcomes of a run's batches."""

    def __init__(
        self,
        storage: Storage,
        memory_limit: int = 1 << 30,
        temp_dir: Path | None = None,
        forgiving: Forgiving | None = None,
        apart: Apart | None = None,
    ) -> None:
        self._apart = apart or Apart()
        self._storage = storage
        self._forgiving = forgiving
        self._memory_limit = memory_limit
        self._temp_dir = temp_dir or Path(gettempdir())

    @activity.defn
    async def next_round(self, request: NextRound) -> RoundRef:
        """Write the manifest of the files that failed and may be tried again."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        async with beating(lambda: {"stage": bulk.stage}):
            work = partial(next_round, self._storage, request=request)
            return await self._apart.do(bulk, work, await self._files(request.manifest))

    @activity.defn
    async def next_stage(self, request: NextStage) -> RoundRef:
        """Write the manifest of the files that succeeded and go on to the next stage."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        async with beating(lambda: {"stage": bulk.stage}):
            work = partial(next_stage, self._storage, request=request)
            return await self._apart.do(bulk, work, await self._files(request.plan))

    @activity.defn
    async def close_outcomes(self, request: CloseRequest) -> Closed:
        """Give every planned file exactly one outcome and count them."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        async with beating(lambda: {"stage": bulk.stage}):
            work = partial(close_outcomes, self._storage, request=request)
            closed = await self._apart.do(bulk, work, await self._files(request.plan))
            if self._forgiving is not None and request.site:
                await self._forgiving.forgive(bulk, request.run, request.site, request.began_us, closed.counts.total)
            return closed

    async def _files(self, manifest: str) -> int:
        return (await asyncio.to_thread(read_head, self._storage, manifest)).files


def next_round(storage: Storage, bulk: Bulk, request: NextRound) -> RoundRef:
    """Write the manifest of the files of a round that failed and may be tried again."""
    limits = BatchLimits(request.batch.files, request.batch.bytes)
    name, head = make_round(
        storage,
        bulk,
        run=request.run,
        ended=request.round,
        manifest=request.manifest,
        permanent=permanent_reasons(request.retry),
        limits=None if request.retry.resubmit == "job" else limits,
    )
    return _ref(storage, request.round + 1, name, head)


def next_stage(storage: Storage, bulk: Bulk, request: NextStage) -> RoundRef:
    """Write the manifest of the files that succeeded in a stage."""
    name, head = make_stage(
        storage,
        bulk,
        run=request.run,
        number=request.round,
        plan=request.plan,
        before=request.before,
        limits=BatchLimits(request.batch.files, request.batch.bytes),
    )
    return _ref(storage, request.round, name, head)


def close_outcomes(storage: Storage, bulk: Bulk, request: CloseRequest) -> Closed:
    """Write the table of all outcomes of a run that is over."""
    unreached = request.unreached or Unreached(outcome="failed", reason="unknown", message="no outcome was recorded")
    name, digest, counts = close_run(
        storage,
        bulk,
        run=request.run,
        plan=request.plan,
        rounds=request.rounds,
        unreached=unreached,
        passed=request.passed,
    )
    return Closed(outcomes=name, digest=digest, counts=counts)


def _ref(storage: Storage, number: int, name: str, head: Head | None) -> RoundRef:
    if head is None:
        return RoundRef(round=number, manifest=name, files=0, bytes=0, batches=0)
    return RoundRef(
        round=number,
        manifest=name,
        files=head.files,
        bytes=head.bytes,
        batches=head.batches,
        digest=head.digest,
        head_sha256=head_digest(storage, name),
    )
