"""The outcome of every file of a run, out of its table in the storage or, while it is open, of those that ended."""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from activities.closing import SCHEMA
from activities.settled import OUTCOMES
from activities.so_far import write_so_far
from activities.storage import Missing, open_storage
from orchestrator.reporting.errors import bulk_in
from orchestrator.settings import Settings
from workflows.names import printable, shown
from workflows.policy import FailedReason
from workflows.run import RunStatus, StageState

__all__ = [
    "COLUMNS",
    "OUTCOMES",
    "REASONS",
    "WRITERS",
    "NoOutcomes",
    "Wanted",
    "count_files",
    "files_so_far",
    "read_files",
    "reasons_of",
    "write_files",
]

_ROWS = 10_000

_SKIPPED = ("changed", "already_done", "busy", "in_other_run", "unknown_attribute")
#: Why files are skipped, then why they fail.
REASONS: Final[tuple[str, ...]] = (*_SKIPPED, *get_args(FailedReason))
COLUMNS = ("ordinal", "path", "size", "rule", "outcome", "reason", "message", "round", "job")


class NoOutcomes(LookupError):
    """The run has no table of outcomes: it has not ended yet, it is another's, or it never had a plan."""


class Wanted(NamedTuple):
    """Which files: those of an outcome, of a reason, and with an error, which is a reason or a part of a message.

    With `after` only those behind this ordinal of the plan.
    """

    outcome: str | None = None
    reason: str | None = None
    error: str | None = None
    after: int | None = None


ALL = Wanted()


@contextmanager
def files_so_far(settings: Settings, status: RunStatus) -> Iterator[Path | None]:
    """Make a table of the files of an open run that have ended, there for as long as the block lasts; None: no plan."""
    if status.plan is None or not status.rounds:
        yield None
        return
    settings.spill_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.spill_dir, prefix="so-far-") as folder:
        table = Path(folder) / "so-far.parquet"
        write_so_far(
            open_storage(settings.storage),
            bulk_in(settings.spill_dir, int(settings.selection_memory)),
            table,
            run=status.run,
            plan=status.plan.manifest,
            rounds=[(one.number, one.manifest, one.batches) for one in status.rounds],
            passed=[one.number for one in status.rounds if _goes_on(status, one.stage)],
        )
        yield table


def _goes_on(status: RunStatus, stage: int) -> bool:
    """Tell whether a stage with a hub workflow follows."""
    later = [one for one in status.stages if one.number > stage and one.state is not StageState.SKIPPED]
    return any(one.works for one in later)


def read_files(
    settings: Settings, run: str, wanted: Wanted = ALL, *, limit: int = 0, offset: int = 0, table: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Give the files in the plan's order behind so many, at most `limit` of them (0 gives all); raises NoOutcomes.

    They are those of `table`, where one is given, as `files_so_far` makes it.
    """
    given = 0
    for batch in _batches(settings, run, wanted, table):
        if offset >= batch.num_rows:
            offset -= batch.num_rows
            continue
        rows, offset = batch.slice(offset, limit - given if limit else None), 0
        for row in rows.to_pylist():
            yield row
            given += 1
            if given == limit:
                return


def count_files(settings: Settings, run: str, wanted: Wanted = ALL, table: Path | None = None) -> int:
    """Count the wanted files; raises NoOutcomes."""
    return int(_table(settings, run, table).count_rows(filter=_filter(wanted)))


def write_files(settings: Settings, run: str, wanted: Wanted, target: Path, table: Path | None = None) -> int:
    """Write the wanted files as CSV, JSON lines or Parquet, as the name of the target says; give their number.

    The file is there whole or not at all. Raises NoOutcomes, and ValueError for another ending.
    """
    write = WRITERS.get(target.suffix.lower())
    if write is None:
        raise ValueError(f"{target}: end it with {', '.join(WRITERS)}")
    batches = _batches(settings, run, wanted, table)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".files-") as folder:
        half = Path(folder) / target.name
        written = write(half, batches)
        half.replace(target)
    return written


def reasons_of(settings: Settings, run: str, table: Path | None = None) -> set[str]:
    """Name the reasons that the run's files have; raises NoOutcomes."""
    found: set[str] = set()
    for batch in _table(settings, run, table).to_batches(columns=["reason"]):
        found.update(one for one in batch["reason"].unique().to_pylist() if one)
    return found


def _table(settings: Settings, run: str, table: Path | None = None) -> Any:
    if table is not None:
        return ds.dataset(str(table), format="parquet")
    storage = open_storage(settings.storage)
    name = f"runs/{run}/outcomes.parquet"
    try:
        if not storage.exists(name):
            raise Missing(name)
        folder = settings.spill_dir / "read"
        return ds.dataset(str(storage.fetch(name, folder)), format="parquet")
    except (Missing, ValueError) as error:
        raise NoOutcomes(
            f"run {run} has no table of outcomes: it has not ended yet, never had a plan, or there is no such run. "
            "`orchestrator runs list` shows the runs."
        ) from error


def _batches(settings: Settings, run: str, wanted: Wanted, made: Path | None = None) -> Iterator[pa.RecordBatch]:
    """Read some rows at a time; what is read ahead is bounded."""
    table = _table(settings, run, made)
    found: Iterator[pa.RecordBatch] = table.to_batches(
        columns=list(COLUMNS), filter=_filter(wanted), batch_size=_ROWS, batch_readahead=2, fragment_readahead=1
    )
    return found


def _filter(wanted: Wanted) -> Any:
    found = None
    for column, value in (("outcome", wanted.outcome), ("reason", wanted.reason)):
        if value is not None:
            same = pc.field(column) == value
            found = same if found is None else found & same
    if wanted.after is not None:
        behind = pc.field("ordinal") > wanted.after
        found = behind if found is None else found & behind
    if wanted.error is not None:
        said = pc.match_substring(pc.field("message"), wanted.error, ignore_case=True)
        has = (pc.field("reason") == wanted.error) | said
        found = has if found is None else found & has
    return found


def _to_csv(target: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write it for spreadsheets: one line a file, and no cell that one would take for a formula."""
    written = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for batch in batches:
            for row in batch.to_pylist():
                path, message = shown(row["path"]), printable(row["message"])
                lines.writerow(_cell(value) for value in {**row, "path": path, "message": message}.values())
            written += batch.num_rows
    return written


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _to_lines(target: Path, batches: Iterable[pa.RecordBatch]) -> int:
    written = 0
    with target.open("w", encoding="utf-8") as file:
        for batch in batches:
            file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
            written += batch.num_rows
    return written


def _to_parquet(target: Path, batches: Iterable[pa.RecordBatch]) -> int:
    written = 0
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for batch in batches:
            writer.write_table(pa.Table.from_batches([batch]).cast(SCHEMA))
            written += batch.num_rows
    return written


WRITERS = {".csv": _to_csv, ".jsonl": _to_lines, ".parquet": _to_parquet}
