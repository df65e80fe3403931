"""The outcome of every file of an ended run, read out of its table in the storage."""

from collections.abc import Iterator
from typing import Any, Final, get_args

import pyarrow.compute as pc
import pyarrow.dataset as ds

from activities.settled import OUTCOMES
from activities.storage import Missing, open_storage
from orchestrator.settings import Settings
from workflows.policy import FailedReason

__all__ = ["COLUMNS", "OUTCOMES", "REASONS", "NoOutcomes", "count_files", "read_files", "reasons_of"]

_SKIPPED = ("changed", "already_done", "busy", "in_other_run", "unknown_attribute")
#: Why files are skipped, then why they fail.
REASONS: Final[tuple[str, ...]] = (*_SKIPPED, *get_args(FailedReason))
COLUMNS = ("ordinal", "path", "size", "rule", "outcome", "reason", "message", "round", "job")


class NoOutcomes(LookupError):
    """The run has no table of outcomes: it has not ended yet, it is another's, or it never had a plan."""


def read_files(
    settings: Settings, run: str, *, outcome: str | None = None, reason: str | None = None, limit: int = 0
) -> Iterator[dict[str, Any]]:
    """Give the files in the plan's order, at most `limit` of them (0 gives all); raises NoOutcomes."""
    table = _table(settings, run)
    given = 0
    for batch in table.to_batches(columns=list(COLUMNS), filter=_filter(outcome, reason), batch_size=10_000):
        for row in batch.to_pylist():
            yield row
            given += 1
            if given == limit:
                return


def count_files(settings: Settings, run: str, *, outcome: str | None = None, reason: str | None = None) -> int:
    """Count the files of those outcomes and reasons; raises NoOutcomes."""
    return int(_table(settings, run).count_rows(filter=_filter(outcome, reason)))


def reasons_of(settings: Settings, run: str) -> set[str]:
    """Name the reasons that the run's files have; raises NoOutcomes."""
    found: set[str] = set()
    for batch in _table(settings, run).to_batches(columns=["reason"]):
        found.update(one for one in batch["reason"].unique().to_pylist() if one)
    return found


def _table(settings: Settings, run: str) -> Any:
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


def _filter(outcome: str | None, reason: str | None) -> Any:
    wanted = None
    for column, value in (("outcome", outcome), ("reason", reason)):
        if value is not None:
            same = pc.field(column) == value
            wanted = same if wanted is None else wanted & same
    return wanted
