"""Failed files that a person wants tried again: as a further round of an open run, or as what a later run takes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import Field
from temporalio import activity

from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk, in_thread, reading
from activities.ends import End, last_ends
from activities.heartbeat import beating
from activities.manifests import HEAD, SCHEMA, Head, head_digest, read_head
from activities.outcomes import RoundRef
from activities.storage import Storage
from workflows.payload import Payload
from workflows.policy import Batch
from workflows.run import Retries

ONLY = "failed_before"
"""The view of the files that a run takes which tries again what another one failed."""
NEVER = "aborted"
"""The reason of files that a job of the Hub may still have in hand."""


class AskedRound(Payload):
    """A stage's rounds so far (number, manifest, batches), the first with all its files, and what shall be tried again.

    That is what failed with one of these errors, a reason or a part of a message, "" for any, and with `ladder` what
    that would try, too: failures of the last round that are not `permanent`.
    """

    run: str
    rounds: tuple[tuple[int, str, int], ...]
    errors: tuple[str, ...]
    permanent: tuple[str, ...]
    ladder: bool
    batch: Batch


class AskedRef(RoundRef):
    """The manifest of the round, and for which reasons how many of its files had failed."""

    reasons: dict[str, int] = Field(default_factory=dict)


class Retried:
    """The activity that makes such a round."""

    def __init__(self, storage: Storage, *, memory_limit: int, temp_dir: Path) -> None:
        self._storage = storage
        self._memory_limit = memory_limit
        self._temp_dir = temp_dir

    @activity.defn
    async def asked_round(self, request: AskedRound) -> AskedRef:
        """Write the manifest of the failed files that are tried again since somebody asked for it."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        async with beating(lambda: {"stage": bulk.stage}):
            return await in_thread(bulk, lambda bulk: asked_round(self._storage, bulk, request))


def asked_round(storage: Storage, bulk: Bulk, request: AskedRound) -> AskedRef:
    """Write the manifest of the round behind the last one; a second call writes the same."""
    first, (last, _, _) = request.rounds[0], request.rounds[-1]
    number = last + 1
    name = f"runs/{request.run}/round-{number}"
    columns = [column for column in SCHEMA.names if column != "batch"]
    reasons = Counter[str]()
    with bulk.folder() as folder:
        writer = ManifestWriter(folder, BatchLimits(request.batch.files, request.batch.bytes))
        for stretch in last_ends(storage, bulk, folder, request.run, first[1], request.rounds, columns):
            again = np.array([_is_tried_again(end, request, last) for end in stretch.ends])
            for end, files in zip(stretch.ends, np.bincount(stretch.places).tolist(), strict=False):
                if end is not None and _is_tried_again(end, request, last):
                    reasons[end.reason or "unknown"] += files
            writer.add(stretch.rows.filter(pa.array(again[stretch.places])))
        writer.close_batch()
        if not writer.files:
            return AskedRef(round=number, manifest=name, files=0, bytes=0, batches=0)
        told = dict(sorted(reasons.items()))
        if storage.exists(f"{name}/{HEAD}"):
            return _ref(storage, number, name, read_head(storage, name), told)
        before = read_head(storage, first[1])
        head = writer.publish(storage, policy_digest=before.policy_digest, as_of_us=before.as_of_us, name=name)[1]
        return _ref(storage, number, name, head, told)


def _is_tried_again(end: End | None, request: AskedRound, last: int) -> bool:
    """Tell whether a file that ended so is asked for, or would be tried by the ladder."""
    if end is None or end.outcome != "failed" or end.reason == NEVER:
        return False
    by_ladder = request.ladder and end.round == last and end.reason is not None
    return _is_wanted(end, request.errors) or (by_ladder and end.reason not in request.permanent)


def _is_wanted(end: End, errors: Sequence[str]) -> bool:
    return any(error in ("", end.reason) or error.lower() in end.message.lower() for error in errors)


def open_only(storage: Storage, database: duckdb.DuckDBPyConnection, retries: Retries, folder: Path) -> None:
    """Make the files that a run failed, or set aside, the view of that name."""
    table = storage.fetch(f"runs/{retries.run}/outcomes.parquet", folder)
    database.execute("CREATE TABLE errors AS SELECT ?::VARCHAR AS error", [retries.error])
    database.execute(
        f"CREATE VIEW {ONLY} AS SELECT path FROM {reading([table])} last "
        f"WHERE outcome IN ('failed', 'quarantined') AND {_WANTED}"
    )


_WANTED = (
    "EXISTS (SELECT 1 FROM errors WHERE error = '' OR error = last.reason "
    "OR contains(lower(last.message), lower(error)))"
)


def _ref(storage: Storage, number: int, name: str, head: Head, reasons: dict[str, int]) -> AskedRef:
    return AskedRef(
        round=number,
        manifest=name,
        files=head.files,
        bytes=head.bytes,
        batches=head.batches,
        digest=head.digest,
        reasons=reasons,
        head_sha256=head_digest(storage, name),
    )
