"""How the files of one batch ended: its exceptions, in one small file that may be written again.

Per round and batch there is `runs/<run>/round-<r>/batch-<b>.json`:
`{"all": {outcome, reason, message} | null, "files": [[ordinal, outcome, reason, message], ...], "job": id, "counts"}`.
Files that are not listed ended as `all` says, or `done`. A batch without that file did not end: none of its files
counts as done. What the re-check left out before a submit is in `batch-<b>.skips.json`, so that it outlives a crash
between re-check and submit; settling a batch takes it over.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from temporalio.exceptions import ApplicationError

from activities.manifests import Batch
from activities.storage import Missing, Storage
from workflows.payload import Payload
from workflows.plan import OutcomeCounts

OUTCOMES = ("done", "skipped", "failed", "cancelled", "quarantined")
_READERS = 8
_AT_ONCE = 64


class OutcomesDamaged(ApplicationError):
    """What was written about a batch cannot be read any more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="OutcomesDamaged", non_retryable=True)


class FileException(NamedTuple):
    """How one file ended that was not simply done; `ordinal` is its place in the plan."""

    ordinal: int
    outcome: str
    reason: str | None = None
    message: str = ""


class Ended(Payload):
    """How files ended that have no line of their own."""

    outcome: str
    reason: str | None = None
    message: str = ""


class BatchOutcome(Payload):
    """How a batch ended: its job, the exceptions, and what holds for all other files (None = done)."""

    job: int | None = None
    files: tuple[FileException, ...] = ()
    rest: Ended | None = None


def settle_batch(
    storage: Storage,
    run: str,
    round_number: int,
    number: int,
    batch: Batch,
    outcome: BatchOutcome,
    *,
    with_skips: bool = True,
) -> OutcomeCounts:
    """Write how every file of a batch ended, once more if need be, and count; the skips before the submit are kept.

    `with_skips=False` is for an account that was settled before and holds them already.
    """
    skips = (read_skips(storage, run, round_number, number) or []) if with_skips else []
    files = {one.ordinal: one for one in [*outcome.files, *skips]}
    strangers = files.keys() - set(batch.ordinals)
    if strangers:
        raise ValueError(f"{run}: ordinals {sorted(strangers)[:3]} are not in batch {number} of round {round_number}")
    for one in files.values():
        _check(one.outcome)
    counts = _counted(batch, files, outcome.rest)
    content = {
        "all": outcome.rest.model_dump() if outcome.rest else None,
        "files": [files[ordinal] for ordinal in sorted(files)],
        "job": outcome.job,
        "counts": counts.model_dump(),
    }
    storage.put(_settled(run, round_number, number), json.dumps(content).encode())
    return counts


def read_settled(storage: Storage, run: str, round_number: int, number: int) -> BatchOutcome | None:
    """Read how a batch ended; None while it has not."""
    try:
        found = _read(storage, _settled(run, round_number, number))
    except Missing:
        return None
    return BatchOutcome(job=found["job"], files=tuple(FileException(*one) for one in found["files"]), rest=found["all"])


def read_batches(
    storage: Storage, run: str, round_number: int, batches: int
) -> Iterator[tuple[int, BatchOutcome | None]]:
    """Read how the batches of a round ended, in their order, a few at a time."""

    def one(number: int) -> BatchOutcome | None:
        return read_settled(storage, run, round_number, number)

    with ThreadPoolExecutor(_READERS, thread_name_prefix="outcomes") as readers:
        numbers = iter(range(batches))
        while some := list(islice(numbers, _AT_ONCE)):
            yield from zip(some, readers.map(one, some), strict=True)


def write_skips(storage: Storage, run: str, round_number: int, number: int, skips: Sequence[FileException]) -> None:
    """Write which files of a batch are left out of its submit; an empty list says that it was looked at."""
    for one in skips:
        _check(one.outcome)
    storage.put(_skips(run, round_number, number), json.dumps(sorted(skips, key=lambda one: one.ordinal)).encode())


def read_skips(storage: Storage, run: str, round_number: int, number: int) -> list[FileException] | None:
    """Read which files were left out; None when nobody has decided yet."""
    try:
        found = _read(storage, _skips(run, round_number, number))
    except Missing:
        return None
    return [FileException(*one) for one in found]


def tally(rows: Iterable[tuple[str, str | None, int, int]]) -> OutcomeCounts:
    """Add up rows of outcome, reason, files and bytes."""
    totals: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    bytes_done = 0
    for outcome, reason, files, size in rows:
        _check(outcome)
        totals[outcome] += files
        if outcome == "done":
            bytes_done += size
        elif outcome == "skipped":
            skipped[reason or "unknown"] += files
        elif outcome == "failed":
            failed[reason or "unknown"] += files
    return OutcomeCounts(
        done=totals["done"],
        skipped=dict(sorted(skipped.items())),
        failed=dict(sorted(failed.items())),
        cancelled=totals["cancelled"],
        quarantined=totals["quarantined"],
        bytes_done=bytes_done,
    )


def _read(storage: Storage, name: str) -> Any:
    try:
        return json.loads(storage.get(name))
    except ValueError as error:
        raise OutcomesDamaged(f"{name}: cannot be read, restore it from a copy: {error}") from error


def _counted(batch: Batch, files: dict[int, FileException], rest: Ended | None) -> OutcomeCounts:
    other: Any = rest or Ended(outcome="done")
    ends = ((files.get(ordinal, other), size or 0) for ordinal, size in zip(batch.ordinals, batch.sizes, strict=True))
    return tally((end.outcome, end.reason, 1, size) for end, size in ends)


def _check(outcome: str) -> None:
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is no outcome: expected one of {', '.join(OUTCOMES)}")


def _settled(run: str, round_number: int, number: int) -> str:
    return f"runs/{run}/round-{round_number}/batch-{number:06d}.json"


def _skips(run: str, round_number: int, number: int) -> str:
    return f"runs/{run}/round-{round_number}/batch-{number:06d}.skips.json"
