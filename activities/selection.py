"""Makes a plan: matches an inventory against a policy, orders what is selected, and writes the manifest.

DuckDB filters and orders, within its memory limit and spilling to disk; the ordered rows stream into batches. Limits
take a prefix of the order: the first file that does not fit ends the plan, also where a later, smaller one would fit. A
file of unknown size counts as 0 bytes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import duckdb
import numpy as np
import pyarrow as pa
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.apart import Apart
from activities.batching import BatchLimits, ManifestWriter
from activities.bulk import Bulk, reading
from activities.columns import SCHEMA
from activities.enough import enough, open_tried
from activities.heartbeat import beating
from activities.inventory import InventoryRef, inventory_parts
from activities.manifests import head_digest, integers
from activities.predicates import (
    EXCLUDED,
    KEPT,
    NOT_FAILED,
    QUARANTINED,
    SELECTED,
    STAYS,
    UNKNOWN,
    heeding,
    judged,
    ordering,
    rule_names,
)
from activities.quarantine import Quarantine
from activities.retried import ONLY, open_only
from activities.storage import Storage
from workflows.names import shown
from workflows.payload import Payload
from workflows.plan import Plan, RuleCount
from workflows.policy import Policy
from workflows.run import Retries

_ROWS = 20_480
"""So many ordered rows are in hand at a time."""

PASSED_OVER = {
    EXCLUDED: "excluded",
    KEPT: "kept",
    STAYS: "no_rule",
    UNKNOWN: "unknown_attribute",
    QUARANTINED: "quarantined",
    NOT_FAILED: "not_failed",
}
"""The words of a plan for why files are not in it, by their verdict."""

SET_ASIDE = "set_aside"
"""The view of the files that are in quarantine."""


class UnknownAttributes(ApplicationError):
    """Files lack an attribute that the policy's rules need, and `on_unknown` is `fail`: see to it, or skip them."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="UnknownAttributes", non_retryable=True)


class PlanRequest(Payload):
    """A policy, the inventory to match, the moment of the ages; the caps of a guard that truncates.

    `enough_bytes` ends the plan where the files up to there occupy so much of their pool; what would free nothing,
    since its data is elsewhere already, is left out then, and so is what the runs of `tried_in` tried and did not move;
    the plan ends before the first file for which `room_bytes` are too few at the destination. With
    `retries` it takes only what that run failed.
    """

    run: str = ""
    policy: Policy
    inventory: InventoryRef
    as_of_us: int
    cap_files: int | None = None
    cap_bytes: int | None = None
    enough_bytes: int | None = None
    room_bytes: int | None = None
    tried_in: tuple[str, ...] = ()
    retries: Retries | None = None


class Plans:
    """The activity that makes plans; `temp_dir` takes what does not fit into `memory_limit`."""

    def __init__(
        self,
        storage: Storage,
        memory_limit: int = 1 << 30,
        temp_dir: Path | None = None,
        quarantine: Quarantine | None = None,
        apart: Apart | None = None,
    ) -> None:
        self._storage = storage
        self._quarantine = quarantine
        self._apart = apart or Apart()
        self._memory_limit = memory_limit
        self._temp_dir = temp_dir or Path(gettempdir())

    @activity.defn
    async def make_plan(self, request: PlanRequest) -> Plan:
        """Match the inventory against the policy and write the manifest."""
        bulk = Bulk(self._memory_limit, self._temp_dir)
        async with beating(lambda: {"stage": bulk.stage}):
            work = partial(make_plan, self._storage, request=request, quarantine=self._quarantine)
            return await self._apart.do(bulk, work, request.inventory.files)


def make_plan(storage: Storage, bulk: Bulk, request: PlanRequest, quarantine: Quarantine | None = None) -> Plan:
    """Match, order, cut and write; the same policy, inventory and moment give the same digest."""
    policy, select = request.policy, request.policy.select
    with bulk.folder() as folder, bulk.database(folder) as database:
        open_inventory(database, inventory_parts(storage, request.inventory.name, folder))
        aside = open_set_aside(database, quarantine, policy.one_site, folder)
        bulk.go_on("matching")
        if request.retries is not None:
            open_only(storage, database, request.retries, folder)
        tally = _tally(database, policy, request.as_of_us, aside, only=request.retries is not None)
        if tally.unknown and select.on_unknown == "fail":
            raise _unknown_attributes(database, policy, request.as_of_us, tally.unknown)
        limits = BatchLimits(policy.run.batch.files, policy.run.batch.bytes)
        writer = ManifestWriter(folder, limits)
        cap = _Cap.least(
            (select.limit.files, select.limit.bytes),
            (request.cap_files, request.cap_bytes),
        )
        tried = open_tried(storage, database, request.tried_in, folder)
        rules = _write(database, bulk, writer, request, cap, tried=tried, aside=aside)
        bulk.go_on("writing the manifest")
        name, head = writer.publish(
            storage,
            policy_digest=policy.digest,
            as_of_us=request.as_of_us,
            rules=rules,
            policy=policy.canonical(),
        )
    passed_over = dict(tally.passed_over)
    if tally.selected > head.files:
        passed_over["limit_reached"] = tally.selected - head.files
    return Plan(
        digest=head.digest,
        manifest=name,
        policy_digest=head.policy_digest,
        as_of_us=request.as_of_us,
        files=head.files,
        bytes=head.bytes,
        batches=head.batches,
        rules=rules,
        passed_over=passed_over,
        scope_files=tally.files,
        scope_bytes=tally.bytes,
        inventory=request.inventory.name,
        inventory_taken_us=request.inventory.taken_us,
        truncated_by_guard=(request.cap_files, request.cap_bytes) != (None, None),
        head_sha256=head_digest(storage, name),
    )


@dataclass(frozen=True, slots=True)
class _Tally:
    files: int
    bytes: int
    selected: int
    unknown: int
    passed_over: dict[str, int]


@dataclass(slots=True)
class _Cap:
    """How much of the order is taken; None is no limit."""

    files: int | None
    bytes: int | None

    @classmethod
    def least(cls, *pairs: tuple[int | None, int | None]) -> "_Cap":
        files, size = zip(*pairs, strict=True)
        return cls(_least(files), _least(size))

    def take(self, rows: pa.Table) -> tuple[pa.Table, bool]:
        """Give the rows that still fit, and whether the plan ends here."""
        count = rows.num_rows
        if self.files is not None:
            count = min(count, self.files)
            self.files -= count
        if self.bytes is not None:
            sums = np.cumsum(integers(rows["size"], 0)[:count])
            count = int(np.searchsorted(sums, self.bytes, "right"))
            self.bytes -= int(sums[count - 1]) if count else 0
        return rows.slice(0, count), count < rows.num_rows or self.files == 0


def open_inventory(database: duckdb.DuckDBPyConnection, parts: list[Path]) -> None:
    """Make the parts of an inventory the view `inventory`, which may be empty."""
    if parts:
        database.execute(f"CREATE VIEW inventory AS SELECT * FROM {reading(parts)}")
    else:
        database.from_arrow(SCHEMA.empty_table()).create("inventory")


def open_set_aside(
    database: duckdb.DuckDBPyConnection, quarantine: Quarantine | None, site: str, folder: Path
) -> str | None:
    """Make the files of a site that are in quarantine a view, and give its name; None when there are none."""
    file = folder / "set-aside.parquet"
    if quarantine is None or not quarantine.write_paths(site, file):
        return None
    database.execute(f"CREATE VIEW {SET_ASIDE} AS SELECT path FROM {reading([file])}")
    return SET_ASIDE


def _tally(
    database: duckdb.DuckDBPyConnection, policy: Policy, as_of_us: int, aside: str | None, *, only: bool
) -> _Tally:
    query = heeding(judged(policy.select, as_of_us, "inventory"), aside)
    if only:  # What the other run did not fail stays, whatever its verdict.
        kept = f"verdict <> {SELECTED} OR path IN (SELECT path FROM {ONLY})"
        query = f"SELECT * REPLACE (CASE WHEN {kept} THEN verdict ELSE {NOT_FAILED} END AS verdict) FROM ({query})"
    rows = database.execute(
        f"SELECT verdict, count(*), coalesce(sum(size), 0)::HUGEINT FROM ({query}) GROUP BY verdict"
    ).fetchall()
    files = {verdict: count for verdict, count, _ in rows}
    return _Tally(
        files=sum(files.values()),
        bytes=sum(int(size) for _, _, size in rows),
        selected=files.get(SELECTED, 0),
        unknown=files.get(UNKNOWN, 0),
        passed_over={word: files[verdict] for verdict, word in PASSED_OVER.items() if verdict in files},
    )


def _write(
    database: duckdb.DuckDBPyConnection,
    bulk: Bulk,
    writer: ManifestWriter,
    request: PlanRequest,
    cap: _Cap,
    *,
    tried: bool,
    aside: str | None,
) -> tuple[RuleCount, ...]:
    select = request.policy.select
    names = rule_names(select)
    words = pa.array(names, pa.string())
    files, sizes = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    if cap.files == 0:
        return ()
    also = "" if request.retries is None else f" AND path IN (SELECT path FROM {ONLY})"
    query = enough(
        f"({heeding(judged(select, request.as_of_us, 'inventory'), aside)}) WHERE verdict = {SELECTED}{also}",
        ordering(select.order_by),
        request.enough_bytes,
        request.policy.run.hub_workflows[-1],
        request.room_bytes,
        tried=tried,
    )
    if cap.files is not None:
        query += f" LIMIT {cap.files}"
    bulk.go_on("ordering")
    for batch in database.sql(query).to_arrow_reader(_ROWS):
        bulk.go_on(f"file {writer.taken:,}")
        rows, full = cap.take(pa.Table.from_batches([batch]))
        rule = rows["rule"].combine_chunks().to_numpy()
        files += np.bincount(rule, minlength=len(names))
        sizes += _sums_by(rule, integers(rows["size"], 0), len(names))
        ordinals = pa.array(np.arange(writer.taken, writer.taken + rows.num_rows))
        writer.add(
            rows.set_column(3, "rule", words.take(rows["rule"].combine_chunks())).add_column(0, "ordinal", ordinals)
        )
        if full:
            break
    return tuple(
        RuleCount(name=name, files=int(files[index]), bytes=int(sizes[index]))
        for index, name in enumerate(names)
        if files[index]
    )


def _sums_by(
    rule: "np.ndarray[tuple[int], np.dtype[np.uint16]]", size: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    sums = np.zeros(count, np.int64)
    np.add.at(sums, rule, size)
    return sums


def _unknown_attributes(
    database: duckdb.DuckDBPyConnection, policy: Policy, as_of_us: int, count: int
) -> UnknownAttributes:
    query = judged(policy.select, as_of_us, "inventory")
    rows = database.execute(f"SELECT path FROM ({query}) WHERE verdict = {UNKNOWN} ORDER BY path LIMIT 3").fetchall()
    examples = ", ".join(shown(path) for (path,) in rows)
    return UnknownAttributes(
        f"{count:,} files lack an attribute that the policy {policy.name} needs, and select.on_unknown is fail; "
        f"such as {examples}"
    )


def _least(limits: tuple[int | None, ...]) -> int | None:
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None
