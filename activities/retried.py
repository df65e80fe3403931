"""Failed files that a person wants tried again: as a further round of an open run, or as what a later run takes."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
from pydantic import Field
from temporalio import activity

from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk, in_thread, reading
from activities.closing import ends_of, open_rounds
from activities.heartbeat import beating
from activities.manifests import HEAD, SCHEMA, Head, read_head
from activities.outcomes import RoundRef
from activities.storage import Storage
from workflows.payload import Payload
from workflows.policy import Batch
from workflows.run import Retries

ONLY = "failed_before"
"""The view of the files that a run takes which tries again what another one failed."""
NEVER = "aborted"
"""The reason of files that a job of the Hub may still have in hand."""
_ROWS = 122_880


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
    schema = pa.schema([SCHEMA.field(column) for column in columns])
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_rounds(storage, bulk, database, folder, request.run, request.rounds)
        _select(database, request, last)
        reasons = dict(database.sql("SELECT reason, count(*) FROM again GROUP BY reason ORDER BY reason").fetchall())
        if not reasons:
            return AskedRef(round=number, manifest=name, files=0, bytes=0, batches=0)
        if storage.exists(f"{name}/{HEAD}"):
            return _ref(number, name, read_head(storage, name), reasons)
        rows = database.sql(
            f"SELECT {', '.join(f'files.{column}' for column in columns)} "
            f"FROM files_{first[0]} files JOIN again ON again.ordinal = files.ordinal ORDER BY files.ordinal"
        )
        writer = ManifestWriter(folder, BatchLimits(request.batch.files, request.batch.bytes))
        bulk.go_on(f"the files of round {number}")
        for batch in rows.to_arrow_reader(_ROWS):
            writer.add(pa.Table.from_batches([batch]).cast(schema))
        writer.close_batch()
        before = read_head(storage, first[1])
        head = writer.publish(storage, policy_digest=before.policy_digest, as_of_us=before.as_of_us, name=name)[1]
        return _ref(number, name, head, reasons)


def open_only(storage: Storage, database: duckdb.DuckDBPyConnection, retries: Retries, folder: Path) -> None:
    """Make the files that a run failed, or set aside, the view of that name."""
    table = storage.fetch(f"runs/{retries.run}/outcomes.parquet", folder)
    _say_errors(database, (retries.error,))
    database.execute(
        f"CREATE VIEW {ONLY} AS SELECT path FROM {reading([table])} last "
        f"WHERE outcome IN ('failed', 'quarantined') AND {_WANTED}"
    )


_WANTED = (
    "EXISTS (SELECT 1 FROM errors WHERE error = '' OR error = last.reason "
    "OR contains(lower(last.message), lower(error)))"
)


def _say_errors(database: duckdb.DuckDBPyConnection, errors: Sequence[str]) -> None:
    database.execute("CREATE TABLE errors AS SELECT unnest(?::VARCHAR[]) AS error", [list(errors)])


def _select(database: duckdb.DuckDBPyConnection, request: AskedRound, last: int) -> None:
    _say_errors(database, request.errors)
    numbers = [number for number, _, _ in request.rounds]
    database.execute("CREATE TABLE permanent AS SELECT unnest(?::VARCHAR[]) AS reason", [list(request.permanent)])
    database.execute(f"""
        CREATE TABLE again AS
        WITH ends AS ({ends_of(numbers)}),
        last AS (SELECT * FROM ends QUALIFY row_number() OVER (PARTITION BY ordinal ORDER BY round DESC) = 1)
        SELECT ordinal, coalesce(reason, 'unknown') AS reason FROM last
        WHERE outcome = 'failed' AND reason IS DISTINCT FROM '{NEVER}'
          AND ({_WANTED} OR ({request.ladder} AND round = {last} AND reason NOT IN (SELECT reason FROM permanent)))
    """)


def _ref(number: int, name: str, head: Head, reasons: dict[str, int]) -> AskedRef:
    return AskedRef(
        round=number,
        manifest=name,
        files=head.files,
        bytes=head.bytes,
        batches=head.batches,
        digest=head.digest,
        reasons=reasons,
    )
