"""What a plan decided about every row of its inventory, each judged once and kept in a scratch table on disk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from activities.bulk import reading
from activities.manifests import read_rows
from activities.predicates import SELECTED, heeding, judged, literal, ordering_keys, predicate
from activities.storage import Storage
from workflows.conditions import AllOf, AnyOf, Compare, Condition, Member, Named, Not
from workflows.plan import Plan
from workflows.selecting import OrderKey, Select


def write_decisions(
    storage: Storage,
    database: duckdb.DuckDBPyConnection,
    select: Select,
    plan: Plan,
    folder: Path,
    aside: str | None = None,
) -> None:
    """Make the view `decided` of the view `inventory`: verdict, rule, whether planned, and what is counted.

    `aside` is the view of the files that are in quarantine, where there are any.

    `lacks_0`, `lacks_1` ... tell whether the row lacks the attributes of `needed_attributes`, in their order.
    """
    age = age_attribute(select)
    needed = needed_attributes(select).values()
    lacks = "".join(f", {lacking(each, plan.as_of_us)} AS lacks_{index}" for index, each in enumerate(needed))
    planned = f"verdict = {SELECTED} AND {_up_to_last(storage, database, select, plan)}"
    file = folder / "decisions.parquet"
    database.execute(f"""
        COPY (
            SELECT verdict, rule, planned, size, disk_usage, owner, status, IF(planned, path, NULL) AS path,
                   {"coalesce(accessed, modified)" if age == "accessed" else age} AS age {lacks}
            FROM (SELECT *, {planned} AS planned FROM ({heeding(judged(select, plan.as_of_us, "inventory"), aside)}))
        ) TO {literal(str(file))} (FORMAT parquet, COMPRESSION lz4_raw)
    """)
    database.execute(f"CREATE VIEW decided AS SELECT * FROM {reading([file])}")


def needed_attributes(select: Select) -> dict[str, list[Condition]]:
    """Give the attributes that decide, each with its conditions; a name and a path are always known."""
    found: dict[str, list[Condition]] = {}
    for condition in (*select.exclude, *(rule.match for rule in select.rules)):
        for leaf in _inside(condition, select.classes):
            found.setdefault(leaf.attribute, []).append(leaf)
    return found


def lacking(conditions: Sequence[Condition], as_of_us: int) -> str:
    """Write that an attribute is unknown, by the conditions that ask for it."""
    return f"({' OR '.join(f'{predicate(one, as_of_us, {})} IS NULL' for one in conditions)})"


def age_attribute(select: Select) -> str:
    """Name the time by which the policy calls a file old: the last access, unless it asks for other times alone."""
    needed = needed_attributes(select)
    return next((name for name in ("accessed", "modified", "changed") if name in needed), "accessed")


def _inside(condition: Condition, classes: Mapping[str, Condition]) -> Iterator[Compare | Member]:
    match condition:
        case Compare() | Member():
            yield condition
        case AllOf(of) | AnyOf(of):
            for part in of:
                yield from _inside(part, classes)
        case Not(of):
            yield from _inside(of, classes)
        case Named(name):
            yield from _inside(classes[name], classes)


def _up_to_last(storage: Storage, database: duckdb.DuckDBPyConnection, select: Select, plan: Plan) -> str:
    """Write that a selected row is in the plan: a limit takes the first ones of the order, up to the last file."""
    if not plan.files:
        return "false"
    if "limit_reached" not in plan.passed_over:
        return "true"
    path = read_rows(storage, plan.manifest, plan.batches - 1)["path"][-1].as_py()
    keys = ordering_keys(select.order_by)
    columns = ", ".join(key.attribute for key in keys)
    row = database.execute(f"SELECT {columns} FROM inventory WHERE path = {literal(path)}").fetchone() or ()
    condition = "true"
    for key, value in zip(reversed(keys), reversed(row), strict=True):
        condition = _not_after(key, value, condition)
    return condition


def _not_after(key: OrderKey, value: object, then: str) -> str:
    """Write that a key comes before a value, or is the same and what follows decides; unknown values come last."""
    column = key.attribute
    if value is None:
        return f"({column} IS NOT NULL OR {then})"
    other = literal(value) if isinstance(value, str) else str(value)
    before = f"{column} {'>' if key.descending else '<'} {other}"
    return f"(coalesce({before}, false) OR ({column} IS NOT DISTINCT FROM {other} AND {then}))"
