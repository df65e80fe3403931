"""The end of a run: one table in which every planned file has exactly one outcome, and its exact counts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activities.bulk import Bulk, reading
from activities.manifests import file_digest, part_paths
from activities.settled import BatchOutcome, Ended, FileException, read_batches, read_skips, tally
from activities.storage import Storage
from workflows.names import to_text
from workflows.plan import OutcomeCounts

SCHEMA = pa.schema(
    [
        pa.field("ordinal", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("message", pa.string(), nullable=False),
        pa.field("round", pa.int32()),
        pa.field("job", pa.int64()),
    ]
)
_END = [("job", pa.int64()), ("outcome", pa.string()), ("reason", pa.string()), ("message", pa.string())]
_BATCHES = pa.schema([("batch", pa.int32()), *_END])
_FILES = pa.schema([("ordinal", pa.int64()), *_END])
_CHUNK = 50_000
_ROWS = 122_880


class FileOutcome(NamedTuple):
    """One file of a run: path text, size in bytes or None, and how it ended, in which round and job."""

    ordinal: int
    path: str
    size: int | None
    rule: str
    outcome: str
    reason: str | None
    message: str
    round: int | None
    job: int | None


def close_run(
    storage: Storage,
    bulk: Bulk,
    *,
    run: str,
    plan: str,
    rounds: Sequence[tuple[int, str, int]],
    unreached: Ended,
    passed: Sequence[int] = (),
) -> tuple[str, str, OutcomeCounts]:
    """Write `runs/<run>/outcomes.parquet` and give its name, the SHA-256 of its bytes, and the counts.

    Each round is its number, manifest and batches. The last round in which a file ended decides; a file that ended in
    none ends as `unreached` says, and so does one whose last end is a success in one of the `passed` rounds: those of
    a stage that another one was to follow.
    """
    name = f"runs/{run}/outcomes.parquet"
    with bulk.folder() as folder, bulk.database(folder) as database:
        _table(database, "plan", part_paths(storage, plan, folder))
        open_rounds(storage, bulk, database, folder, run, rounds)
        bulk.go_on("outcomes of the run")
        target = folder / "outcomes.parquet"
        _write(database, target, [number for number, _, _ in rounds], unreached, passed)
        rows = database.execute(
            "SELECT outcome, reason, count(*), coalesce(sum(size), 0)::BIGINT FROM read_parquet(?) GROUP BY ALL",
            [str(target)],
        ).fetchall()
        digest = file_digest(target)
        storage.upload(target, name)
    return name, digest, tally(rows)


def outcome_writer(target: Path, files: int) -> pq.ParquetWriter:
    """Open a table of outcomes of so many files.

    What happened to a file is asked over thousands of runs: the filter of the paths lets nearly all be passed over.
    """
    sieve = {"path": {"ndv": max(1, min(files, _ROWS)), "fpp": 0.01}}
    return pq.ParquetWriter(target, SCHEMA, compression="zstd", bloom_filter_options=sieve)


def open_rounds(
    storage: Storage,
    bulk: Bulk,
    database: duckdb.DuckDBPyConnection,
    folder: Path,
    run: str,
    rounds: Sequence[tuple[int, str, int]],
) -> None:
    """Bring rounds (number, manifest, batches) into the database, for `ends_of`, each with its files in `files_<n>`."""
    for number, manifest, batches in rounds:
        bulk.go_on(f"outcomes of round {number}")
        _load_round(storage, database, folder, run, number, batches)
        _table(database, f"files_{number}", part_paths(storage, manifest, folder))


def ends_of(rounds: Sequence[int]) -> str:
    """Select how each file ended in each of these rounds: ordinal, round, job, outcome, reason, message."""
    return " UNION ALL ".join(_ends_of(number) for number in rounds) or _NO_ENDS


def succeeded(row: str) -> str:
    """Write that a file was done, or was where it should be already."""
    return f"({row}.outcome = 'done' OR ({row}.outcome = 'skipped' AND {row}.reason = 'already_done'))"


def read_outcomes(
    storage: Storage,
    run: str,
    *,
    outcome: str | None = None,
    reason: str | None = None,
    after: int = -1,
    limit: int = 100,
) -> list[FileOutcome]:
    """Give one page of a closed run's files in the plan's order, those beyond the ordinal `after`."""
    found: list[FileOutcome] = []
    with pq.ParquetFile(storage.reader(f"runs/{run}/outcomes.parquet")) as table:
        for group in range(table.metadata.num_row_groups):
            if len(found) >= limit:
                break
            if not _may_hold(table.metadata.row_group(group), outcome, after):
                continue
            rows = table.read_row_group(group)
            keep = pc.greater(rows["ordinal"], after)
            for column, value in (("outcome", outcome), ("reason", reason)):
                if value is not None:
                    keep = pc.and_(keep, pc.fill_null(pc.equal(rows[column], value), False))
            rows = rows.filter(keep).slice(0, limit - len(found))
            found += map(FileOutcome._make, zip(*(rows[name].to_pylist() for name in SCHEMA.names), strict=True))
    return found


def _may_hold(group: Any, outcome: str | None, after: int) -> bool:
    ordinal, words = group.column(0).statistics, group.column(4).statistics
    if ordinal is not None and ordinal.has_min_max and ordinal.max <= after:
        return False
    if outcome is None or words is None or not words.has_min_max:
        return True
    return bool(words.min <= outcome <= words.max)


def _load_round(
    storage: Storage, database: duckdb.DuckDBPyConnection, folder: Path, run: str, number: int, batches: int
) -> None:
    """Bring the ends of a round's batches and their exceptions into tables."""
    ends = folder / f"batches-{number}.parquet"
    files = folder / f"exceptions-{number}.parquet"
    all_batches = read_batches(storage, run, number, batches)
    with pq.ParquetWriter(ends, _BATCHES) as batch_rows, pq.ParquetWriter(files, _FILES) as file_rows:
        ended = ((batch, end or _skips_of(storage, run, number, batch), end is not None) for batch, end in all_batches)
        for some in _chunks(ended):
            batch_rows.write_table(
                _columns(_BATCHES, [(batch, end.job, *_end(end.rest)) for batch, end, settled in some if settled])
            )
            file_rows.write_table(
                _columns(_FILES, [(one.ordinal, end.job, *_end(one)) for _, end, _ in some for one in end.files])
            )
    _table(database, f"batches_{number}", [ends])
    _table(database, f"exceptions_{number}", [files])


def _skips_of(storage: Storage, run: str, number: int, batch: int) -> BatchOutcome:
    return BatchOutcome(files=tuple(read_skips(storage, run, number, batch) or ()))


def _chunks(
    found: Iterator[tuple[int, BatchOutcome, bool]],
) -> Iterator[list[tuple[int, BatchOutcome, bool]]]:
    some: list[tuple[int, BatchOutcome, bool]] = []
    weight = 0
    for one in found:
        some.append(one)
        weight += 1 + len(one[1].files)
        if weight >= _CHUNK:
            yield some
            some, weight = [], 0
    yield some


def _end(end: FileException | Ended | None) -> tuple[str, str | None, str]:
    return (end.outcome, end.reason, to_text(end.message)) if end else ("done", None, "")


def _columns(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _table(database: duckdb.DuckDBPyConnection, name: str, paths: list[Path]) -> None:
    if paths:
        database.execute(f"CREATE VIEW {name} AS SELECT * FROM {reading(paths)}")
    else:
        columns = "ordinal BIGINT, batch INTEGER, path VARCHAR, size BIGINT, modified BIGINT, rule VARCHAR"
        database.execute(f"CREATE TABLE {name}({columns})")


def _write(
    database: duckdb.DuckDBPyConnection, target: Path, rounds: list[int], unreached: Ended, passed: Sequence[int]
) -> None:
    """Join the plan with the last end of each file."""
    database.execute(f"CREATE VIEW ends AS {ends_of(rounds)}")
    on_its_way = f"round IN ({', '.join(map(str, passed)) or 'NULL'}) AND {succeeded('ends')}"
    database.execute("CREATE TABLE unreached AS SELECT ? AS outcome, ? AS reason, ? AS message", list(_end(unreached)))
    rows = database.sql(
        f"""
        WITH latest AS (
            SELECT *, coalesce({on_its_way}, false) AS on_its_way
            FROM ends QUALIFY row_number() OVER (PARTITION BY ordinal ORDER BY round DESC) = 1
        ),
        last AS (SELECT * FROM latest WHERE NOT on_its_way)
        SELECT plan.ordinal, plan.path, plan.size, plan.rule,
               coalesce(last.outcome, unreached.outcome) AS outcome,
               CASE WHEN last.outcome IS NULL THEN unreached.reason ELSE last.reason END AS reason,
               coalesce(last.message, unreached.message, '') AS message,
               last.round, last.job
        FROM plan LEFT JOIN last ON last.ordinal = plan.ordinal CROSS JOIN unreached
        ORDER BY plan.ordinal
        """
    )
    ((files,),) = database.execute("SELECT count(*) FROM plan").fetchall()
    with outcome_writer(target, files) as writer:
        for batch in rows.to_arrow_reader(_ROWS):
            writer.write_table(pa.Table.from_batches([batch]).cast(SCHEMA), row_group_size=_ROWS)


def _ends_of(number: int) -> str:
    """Select the end of each file of a round; files of a batch that did not end have one only if they are listed."""
    return f"""
        SELECT f.ordinal, {number} AS round,
               CASE WHEN e.ordinal IS NOT NULL THEN e.job ELSE b.job END AS job,
               CASE WHEN e.ordinal IS NOT NULL THEN e.outcome ELSE b.outcome END AS outcome,
               CASE WHEN e.ordinal IS NOT NULL THEN e.reason ELSE b.reason END AS reason,
               CASE WHEN e.ordinal IS NOT NULL THEN e.message ELSE b.message END AS message
        FROM files_{number} f
        LEFT JOIN batches_{number} b ON b.batch = f.batch
        LEFT JOIN exceptions_{number} e ON e.ordinal = f.ordinal
        WHERE coalesce(e.outcome, b.outcome) IS NOT NULL
    """


_NO_ENDS = (
    "SELECT NULL::BIGINT AS ordinal, NULL::INTEGER AS round, NULL::BIGINT AS job, NULL::VARCHAR AS outcome, "
    "NULL::VARCHAR AS reason, NULL::VARCHAR AS message WHERE false"
)
