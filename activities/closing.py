"""The end of a run: one table in which every planned file has exactly one outcome, and its exact counts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activities.bulk import Bulk
from activities.ends import End, Stretch, counted, last_ends
from activities.manifests import file_digest, read_head
from activities.settled import Ended, tally
from activities.storage import Storage
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
PLANNED = ["ordinal", "path", "size", "rule"]
_FILTERS = 64 << 20
"""Bytes that the filters of all row groups may take."""
_ROWS = 122_880
"""Rows of a row group, what a reader of one page has to read."""


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
    files, sizes = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
    otherwise = End(unreached.outcome, unreached.reason, unreached.message)

    def final(end: End | None) -> End:
        return otherwise if end is None or (end.round in passed and end.succeeded) else end

    with bulk.folder() as folder:
        target = folder / "outcomes.parquet"
        held: list[pa.Table] = []
        with outcome_writer(target, read_head(storage, plan).files) as writer:
            for stretch in last_ends(storage, bulk, folder, run, plan, rounds, PLANNED):
                ends = [final(end) for end in stretch.ends]
                for kind, (number, size) in counted(stretch, ends).items():
                    files[kind] += number
                    sizes[kind] += size
                held = _written(writer, [*held, rows_of(stretch, ends)])
            for rows in held:
                writer.write_table(rows, row_group_size=_ROWS)
        digest = file_digest(target)
        storage.upload(target, name)
    return name, digest, tally((*kind, number, sizes[kind]) for kind, number in files.items())


def outcome_writer(target: Path, files: int) -> pq.ParquetWriter:
    """Open a table of outcomes of so many files.

    What happened to a file is asked over thousands of runs: the filter of the paths lets nearly all be passed over.
    """
    fpp = _share_that_passes(files)
    sieve = None if fpp is None else {"path": {"ndv": max(1, min(files, _ROWS)), "fpp": fpp}}
    return pq.ParquetWriter(target, SCHEMA, compression="zstd", bloom_filter_options=sieve)


def _share_that_passes(files: int) -> float | None:
    """Give how many row groups without a path its filter lets through; None for no filter.

    The writer holds every filter until the file is closed: 128 KiB a row group at 2 %, half of that at 27 % (a split
    block filter of m bits and n values lets (1 - exp(-8 n/m))^8 through).
    """
    groups = -(-files // _ROWS)
    if groups * (128 << 10) <= _FILTERS:
        return 0.02
    return 0.27 if groups * (64 << 10) <= _FILTERS else None


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


def rows_of(stretch: Stretch, ends: Sequence[End]) -> pa.Table:
    """Put the ends beside the planned files."""
    columns: dict[str, Any] = {name: stretch.rows[name] for name in PLANNED}
    for name in End._fields:
        columns[name] = pa.array([getattr(end, name) for end in ends], SCHEMA.field(name).type).take(stretch.places)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _written(writer: pq.ParquetWriter, held: Sequence[pa.Table]) -> list[pa.Table]:
    """Write what fills a row group, and give back the rest."""
    rows = pa.concat_tables(held)
    while rows.num_rows >= _ROWS:
        writer.write_table(rows.slice(0, _ROWS), row_group_size=_ROWS)
        rows = rows.slice(_ROWS)
    return [rows] if rows.num_rows else []
