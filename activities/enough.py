"""The smallest sufficient set: the shortest beginning of a plan's order whose files occupy enough of their pool."""

from collections.abc import Iterable
from pathlib import Path

import duckdb

from activities.bulk import reading
from activities.storage import Missing, Storage

MOVED = "migrated"
COPIED = ("premigrated", "migrated")
TRIED = "tried"
BLOCK = 4096
"""A file takes whole blocks of the pool that it goes to."""


def enough(
    source: str,
    order: str,
    enough_bytes: int | None,
    hub_workflow: str,
    room_bytes: int | None = None,
    *,
    tried: bool = False,
) -> str:
    """Write the query of a plan's rows in order; without `enough_bytes` all of them.

    What a file occupies is its disk usage, or its size where the Hub does not tell. A file whose status is unknown
    counts as lying in the pool. A premigration leaves out what is copied already, but counts it: the same beginning
    of the order would be migrated by a drain.

    `room_bytes` ends the plan before the first file that does not fit into the destination; what is copied already
    takes no room there. With `tried` the files of the view of that name are left out.
    """
    columns = "path, size, modified, rule"
    if enough_bytes is None:
        return f"SELECT {columns} FROM {source} ORDER BY {order}"
    left = f"(status IS NULL OR status <> '{MOVED}')"
    if tried:
        left += f" AND path NOT IN (SELECT path FROM {TRIED})"
    to_copy = ", ".join(f"'{word}'" for word in COPIED)
    is_new = f"(status IS NULL OR status NOT IN ({to_copy}))"
    wanted = is_new if hub_workflow == "premigrate" else "true"
    fits = "true" if room_bytes is None else f"arrived <= {room_bytes}"
    blocks = f"((coalesce(size, 0)::HUGEINT + {BLOCK - 1}) // {BLOCK} * {BLOCK})"
    window = f"OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    return f"""
        SELECT {columns} FROM (
            SELECT *, sum(occupied) {window} - occupied AS before, sum(arriving) {window} AS arrived
            FROM (
                SELECT *, CASE WHEN occupied > 0 AND {is_new} THEN greatest(occupied, {blocks}) ELSE 0 END AS arriving
                FROM (SELECT *, coalesce(disk_usage, size, 0)::HUGEINT AS occupied FROM {source} AND {left})
            )
        ) WHERE before < {enough_bytes} AND occupied > 0 AND {wanted} AND {fits} ORDER BY {order}
    """


def open_tried(storage: Storage, database: duckdb.DuckDBPyConnection, runs: Iterable[str], folder: Path) -> bool:
    """Make the files that these runs tried and did not move the view `tried`; False when none of them has an account.

    What a run never reached, or ended without having moved it since it was cancelled, was not tried.
    """
    tables = []
    for run in runs:
        try:
            tables.append(storage.fetch(f"runs/{run}/outcomes.parquet", folder))
        except Missing:
            continue
    if tables:
        database.execute(
            f"CREATE VIEW {TRIED} AS SELECT path FROM {reading(tables)} "
            "WHERE outcome NOT IN ('done', 'cancelled') AND round IS NOT NULL"
        )
    return bool(tables)
