"""The smallest sufficient set: the shortest beginning of a plan's order whose files occupy enough of their pool."""

MOVED = "migrated"
COPIED = ("premigrated", "migrated")


def enough(source: str, order: str, enough_bytes: int | None, hub_workflow: str) -> str:
    """Write the query of a plan's rows in order; without `enough_bytes` all of them.

    What a file occupies is its disk usage, or its size where the Hub does not tell. A file whose status is unknown
    counts as lying in the pool. A premigration leaves out what is copied already, but counts it: the same beginning
    of the order would be migrated by a drain.
    """
    columns = "path, size, modified, rule"
    if enough_bytes is None:
        return f"SELECT {columns} FROM {source} ORDER BY {order}"
    left = f"(status IS NULL OR status <> '{MOVED}')"
    to_copy = ", ".join(f"'{word}'" for word in COPIED)
    wanted = f"(status IS NULL OR status NOT IN ({to_copy}))" if hub_workflow == "premigrate" else "true"
    running = f"sum(occupied) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    return f"""
        SELECT {columns} FROM (
            SELECT *, {running} - occupied AS before
            FROM (SELECT *, coalesce(disk_usage, size, 0)::HUGEINT AS occupied FROM {source} AND {left})
        ) WHERE before < {enough_bytes} AND occupied > 0 AND {wanted} ORDER BY {order}
    """
