"""What is in a plan, for people: files, bytes and owners by rule, what stays and why, the largest and the oldest."""

from collections.abc import Sequence
from typing import Any

import duckdb

from activities.bulk import Bulk
from activities.decisions import age_attribute, needed_attributes, write_decisions
from activities.inventory import inventory_parts
from activities.predicates import KEPT, SELECTED, UNKNOWN, predicate, rule_names
from activities.quarantine import Quarantine
from activities.selection import PASSED_OVER, open_inventory, open_set_aside
from activities.storage import Storage
from workflows.order import THERE_ALREADY
from workflows.payload import Payload
from workflows.plan import Plan
from workflows.policy import Policy
from workflows.selecting import Select

TOP = 10
"""So many of the owners, the largest and the oldest files are named."""

SIZES = (
    ("under 64 KiB", 64 << 10), ("64 KiB to 1 MiB", 1 << 20), ("1 to 16 MiB", 16 << 20), ("16 to 256 MiB", 256 << 20),
    ("256 MiB to 1 GiB", 1 << 30), ("1 to 16 GiB", 16 << 30), ("16 GiB and more", None),
)  # fmt: skip
"""Bands of sizes: the name, and the size at which the next one begins."""
_DAY = 86_400_000_000
AGES = (
    ("under 30 days", 30 * _DAY), ("30 to 90 days", 90 * _DAY), ("90 days to 1 year", 365 * _DAY),
    ("1 to 2 years", 730 * _DAY), ("2 to 5 years", 1826 * _DAY), ("5 years and more", None),
)  # fmt: skip
"""Bands of ages, by the attribute that the report calls old (`age_by`), in microseconds."""


class Amount(Payload):
    """Files, and the bytes of those whose size is known."""

    files: int = 0
    bytes: int = 0


class OwnerCount(Amount):
    """What belongs to one owner; None is everything whose owner is unknown."""

    owner: str | None


class RuleReport(Amount):
    """What one rule put into the plan; it `matched` more where a limit or a guard cut the plan, or where it keeps."""

    name: str
    keep: bool
    matched: Amount
    owners: tuple[OwnerCount, ...] = ()
    all_owners: int = 0


class PlannedFile(Payload):
    """One file of the plan: its path text, and the time by which the report calls it old."""

    path: str
    size: int | None
    age_us: int | None
    owner: str | None
    rule: str


class Band(Amount):
    """The files of a plan between two sizes or ages, in words; what has no such attribute is a band of its own."""

    name: str


class Unknowns(Payload):
    """Files that lack an attribute: of all that were looked at, and of those that stay because of an unknown."""

    files: int
    undecided: int


class PlanReport(Payload):
    """Everything that is counted in a plan; `freed` is disk usage, known of all but `freed_unknown` files.

    `excluded` says of each exclude how many files it holds. `there_already` of the planned files are where the hub
    workflow would put them, as far as the inventory tells.
    """

    rules: tuple[RuleReport, ...]
    passed_over: dict[str, Amount]
    unknown: dict[str, Unknowns]
    owners: tuple[OwnerCount, ...]
    all_owners: int
    largest: tuple[PlannedFile, ...]
    oldest: tuple[PlannedFile, ...]
    age_by: str
    freed: int
    freed_unknown: int
    there_already: Amount = Amount()
    sizes: tuple[Band, ...] = ()
    ages: tuple[Band, ...] = ()
    excluded: tuple[int, ...] = ()

    @property
    def idle_rules(self) -> tuple[str, ...]:
        """The rules that decided no file at all."""
        return tuple(rule.name for rule in self.rules if not rule.matched.files)

    @property
    def idle_excludes(self) -> tuple[int, ...]:
        """The excludes that hold for no file at all, counted from 0."""
        return tuple(index for index, files in enumerate(self.excluded) if not files)


def report_plan(
    storage: Storage, bulk: Bulk, policy: Policy, plan: Plan, quarantine: Quarantine | None = None
) -> PlanReport:
    """Count what is in a plan; its inventory must still be there, else `Missing` is raised."""
    select = policy.select
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_inventory(database, inventory_parts(storage, plan.inventory, folder))
        bulk.go_on("looking at every file once more")
        aside = open_set_aside(database, quarantine, policy.one_site, folder)
        write_decisions(storage, database, select, plan, folder, aside)
        excluded = _excluded(database, select, plan.as_of_us)
        bulk.go_on("counting by rule and owner")
        _count_owners(database)
        owners, all_owners = _owners(database)
        freed, freed_unknown = _freed(database)
        return PlanReport(
            rules=_rules(database, select),
            passed_over=_passed_over(database),
            unknown=_unknown(database, list(needed_attributes(select))),
            owners=owners,
            all_owners=all_owners,
            largest=_files(database, select, "size DESC"),
            oldest=_files(database, select, "age ASC"),
            age_by=age_attribute(select),
            freed=freed,
            freed_unknown=freed_unknown,
            excluded=excluded,
            sizes=_bands(database, "size", SIZES),
            ages=_bands(database, f"({plan.as_of_us} - age)", AGES),
            there_already=_there_already(database, THERE_ALREADY.get(policy.run.hub_workflows[-1], ())),
        )


def _count_owners(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("""
        CREATE TEMP TABLE owned AS
        SELECT rule, owner, count(*) AS files, coalesce(sum(size), 0) AS bytes
        FROM decided WHERE planned GROUP BY rule, owner
    """)


def _owners(database: duckdb.DuckDBPyConnection) -> tuple[tuple[OwnerCount, ...], int]:
    rows = database.execute(f"""
        SELECT owner, sum(files) AS files, sum(bytes) AS bytes, count(*) OVER () AS every
        FROM owned GROUP BY owner ORDER BY bytes DESC, files DESC, owner NULLS LAST LIMIT {TOP}
    """).fetchall()
    return tuple(_owner(row) for row in rows), rows[0][3] if rows else 0


def _rules(database: duckdb.DuckDBPyConnection, select: Select) -> tuple[RuleReport, ...]:
    counts = database.execute(f"""
        SELECT rule, planned, count(*), coalesce(sum(size), 0)
        FROM decided WHERE verdict IN ({SELECTED}, {KEPT}) GROUP BY rule, planned
    """).fetchall()
    owners: dict[int, list[Sequence[Any]]] = {}
    for rule, *owner in database.execute(f"""
        SELECT rule, owner, files, bytes, count(*) OVER (PARTITION BY rule) FROM owned
        QUALIFY row_number() OVER (PARTITION BY rule ORDER BY bytes DESC, files DESC, owner NULLS LAST) <= {TOP}
        ORDER BY rule, bytes DESC, files DESC, owner NULLS LAST
    """).fetchall():
        owners.setdefault(rule, []).append(owner)
    return tuple(
        RuleReport(
            name=name,
            keep=index < len(select.rules) and select.rules[index].keep,
            files=sum(files for rule, planned, files, _ in counts if rule == index and planned),
            bytes=sum(size for rule, planned, _, size in counts if rule == index and planned),
            matched=Amount(
                files=sum(files for rule, _, files, _ in counts if rule == index),
                bytes=sum(size for rule, _, _, size in counts if rule == index),
            ),
            owners=tuple(_owner(row) for row in owners.get(index, ())),
            all_owners=owners[index][0][3] if index in owners else 0,
        )
        for index, name in enumerate(rule_names(select))
    )


def _passed_over(database: duckdb.DuckDBPyConnection) -> dict[str, Amount]:
    rows = database.execute(
        "SELECT verdict, count(*), coalesce(sum(size), 0) FROM decided WHERE NOT planned GROUP BY verdict"
    ).fetchall()
    words = {**PASSED_OVER, SELECTED: "limit_reached"}
    return {words[verdict]: Amount(files=files, bytes=size) for verdict, files, size in sorted(rows)}


def _unknown(database: duckdb.DuckDBPyConnection, needed: Sequence[str]) -> dict[str, Unknowns]:
    if not needed:
        return {}
    counts = ", ".join(
        f"count(*) FILTER (lacks_{index}), count(*) FILTER (lacks_{index} AND verdict = {UNKNOWN})"
        for index in range(len(needed))
    )
    row = iter(database.execute(f"SELECT {counts} FROM decided").fetchall()[0])
    found = {name: Unknowns(files=next(row), undecided=next(row)) for name in needed}
    return {name: counted for name, counted in found.items() if counted.files}


def _freed(database: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    freed, unknown = database.execute(
        "SELECT coalesce(sum(disk_usage), 0), count(*) FILTER (disk_usage IS NULL) FROM decided WHERE planned"
    ).fetchall()[0]
    return int(freed), int(unknown)


def _excluded(database: duckdb.DuckDBPyConnection, select: Select, as_of_us: int) -> tuple[int, ...]:
    if not select.exclude:
        return ()
    counts = ", ".join(f"count(*) FILTER ({predicate(one, as_of_us, select.classes)})" for one in select.exclude)
    return database.execute(f"SELECT {counts} FROM inventory").fetchall()[0]


def _bands(
    database: duckdb.DuckDBPyConnection, value: str, bands: Sequence[tuple[str, int | None]]
) -> tuple[Band, ...]:
    cases = " ".join(
        f"WHEN {value} < {below} THEN {index}" if below is not None else f"ELSE {index}"
        for index, (_, below) in enumerate(bands)
    )
    rows = database.execute(f"""
        SELECT CASE WHEN {value} IS NULL THEN {len(bands)} {cases} END AS band, count(*), coalesce(sum(size), 0)
        FROM decided WHERE planned GROUP BY band ORDER BY band
    """).fetchall()
    names = [*(name for name, _ in bands), "unknown"]
    return tuple(Band(name=names[band], files=files, bytes=int(size)) for band, files, size in rows)


def _there_already(database: duckdb.DuckDBPyConnection, statuses: Sequence[str]) -> Amount:
    files, size = database.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM decided WHERE planned AND list_contains(?, status)",
        [list(statuses)],
    ).fetchall()[0]
    return Amount(files=files, bytes=int(size))


def _files(database: duckdb.DuckDBPyConnection, select: Select, order: str) -> tuple[PlannedFile, ...]:
    names = rule_names(select)
    rows = database.execute(f"""
        SELECT path, size, age, owner, rule FROM decided
        WHERE planned AND {order.split()[0]} IS NOT NULL ORDER BY {order}, path LIMIT {TOP}
    """).fetchall()
    return tuple(
        PlannedFile(path=path, size=size, age_us=age, owner=owner, rule=names[rule])
        for path, size, age, owner, rule in rows
    )


def _owner(row: Sequence[Any]) -> OwnerCount:
    return OwnerCount(owner=row[0], files=row[1], bytes=row[2])
