"""A plan without a run: lists, matches and writes the manifest with the run's own code; nothing moves."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from activities.bulk import Bulk, in_thread
from activities.file_list import write_list
from activities.hub.client import Hub
from activities.inventory import InventoryRef, InventoryRequest, take_inventory
from activities.ledger.log import AuditLog
from activities.listing import Progress
from activities.manifests import read_batch
from activities.plan_checks import UsualRequest, usual_plan
from activities.plan_diff import PlanDiff, diff_plans
from activities.plan_report import PlanReport, report_plan
from activities.quarantine import Quarantine
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from orchestrator.hub import open_hub
from orchestrator.hub_doubts import expect_site, unknown_paths, unready
from orchestrator.other_plans import OtherPlan, OtherPolicy, keep_as_last
from orchestrator.past_rates import Estimate, estimate, past_rates
from orchestrator.pool_levels import PoolLevel, pool_level
from orchestrator.settings import Settings
from orchestrator.standing import Standing, standing
from workflows.control import caps, excess
from workflows.names import to_text
from workflows.plan import Plan, UsualPlan
from workflows.policy import Policy


@dataclass(frozen=True)
class Wish:
    """What a person asks of a plan: ages from another moment, a comparison, the list of its files."""

    as_of: datetime | None = None
    other: OtherPlan | OtherPolicy | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Difference:
    """What changed against another plan, and which one that is."""

    words: str
    manifest: str
    diff: PlanDiff


@dataclass(frozen=True)
class Preview:
    """What a run would do now: its plan, what is in it, and what stands in its way."""

    policy: Policy
    made: datetime
    ready: datetime
    plan: Plan
    inventory: InventoryRef
    report: PlanReport
    standing: Standing
    pool: PoolLevel | None
    estimate: Estimate | None
    difference: Difference | None = None
    doubts: tuple[str, ...] = ()


async def preview(
    settings: Settings, policy: Policy, wish: Wish = Wish(), tell: Callable[[str], None] = lambda line: None
) -> Preview:
    """List the namespace through the Hub, make the plan and look at it from all sides; `tell` hears how far it is."""
    now = datetime.now(UTC)
    table = _Table(settings, now, wish.as_of or now)
    other = wish.other
    async with table.telling(tell):
        async with open_hub(settings) as hub:
            await expect_site(hub, policy.one_site)
            inventory = await table.listed(hub, policy)
            theirs = inventory
            if isinstance(other, OtherPolicy) and not _same_scope(policy, other.policy):
                theirs = await table.listed(hub, other.policy)
            pool = await pool_level(hub, policy)
            doubts = await unready(hub, policy)
        usual = await asyncio.to_thread(table.usual, policy)
        plan = await table.planned(policy, inventory, usual)
        report = await in_thread(
            table.bulk, lambda bulk: report_plan(table.storage, bulk, policy, plan, table.quarantine)
        )
        if isinstance(other, OtherPolicy):
            made = await table.planned(other.policy, theirs, usual)
            other = OtherPlan(other.words, made.manifest)
        found = Preview(
            policy=policy,
            made=now,
            ready=datetime.now(UTC),
            plan=plan,
            inventory=inventory,
            report=report,
            standing=standing(policy, plan, usual, now),
            pool=pool,
            estimate=estimate(plan, await asyncio.to_thread(past_rates, table.log, policy.name)),
            doubts=doubts,
        )
        if policy.select.source.manifest is not None:
            async with open_hub(settings) as hub:
                missing = await unknown_paths(hub, table.storage, policy, plan)
            found = found if missing is None else replace(found, doubts=(*doubts, missing))
        if other is not None:
            old = other.manifest
            diff = await in_thread(table.bulk, lambda bulk: diff_plans(table.storage, bulk, plan.manifest, old))
            found = replace(found, difference=Difference(other.words, old, diff))
        if wish.out is not None:
            out = wish.out
            await in_thread(table.bulk, lambda bulk: write_list(table.storage, bulk, policy, plan, out))
    keep_as_last(table.storage, policy, plan, now)
    return found


def first_files(settings: Settings, plan: Plan, count: int) -> list[tuple[str, int | None]]:
    """The first files of a plan, as path text and size."""
    storage: Storage = open_storage(settings.storage)
    found: list[tuple[str, int | None]] = []
    for number in range(plan.batches):
        if len(found) >= count:
            break
        batch = read_batch(storage, plan.manifest, number)
        found += [(to_text(path), size) for path, size in zip(batch.paths, batch.sizes, strict=True)]
    return found[:count]


@dataclass
class _Table:
    """Where plans are made: the storage, the audit, one moment, and one piece of heavy work at a time."""

    settings: Settings
    now: datetime
    as_of: datetime
    progress: Callable[[], Progress] | None = None
    storage: Storage = field(init=False)
    log: AuditLog = field(init=False)
    bulk: Bulk = field(init=False)
    quarantine: Quarantine = field(init=False)

    def __post_init__(self) -> None:
        self.storage = open_storage(self.settings.storage)
        self.log = AuditLog(self.settings.audit.get_secret_value())
        self.bulk = Bulk(int(self.settings.selection_memory), self.settings.spill_dir)
        self.quarantine = Quarantine(self.settings.quarantine.get_secret_value())

    async def listed(self, hub: Hub, policy: Policy) -> InventoryRef:
        request = InventoryRequest(
            name=f"plan-{policy.name}-{self.now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
            site=policy.one_site,
            source=policy.select.source,
            paths=policy.select.paths,
        )
        try:
            return await take_inventory(hub, self.storage, self.bulk, request, watch=self._watch)
        except BaseException:  # nobody could go on with it under this name
            self.storage.delete(f"inventories/{request.name}")
            raise
        finally:
            self.progress = None

    async def planned(self, policy: Policy, inventory: InventoryRef, usual: UsualPlan | None) -> Plan:
        as_of_us = round(self.as_of.timestamp() * 1_000_000)
        request = PlanRequest(policy=policy, inventory=inventory, as_of_us=as_of_us)
        plan = await in_thread(self.bulk, lambda bulk: make_plan(self.storage, bulk, request, self.quarantine))
        if policy.guards.on_exceed != "truncate" or not excess(plan, policy.guards, usual):
            return plan
        files, size = caps(plan, policy.guards, usual)
        smaller = request.model_copy(update={"cap_files": files, "cap_bytes": size})
        return await in_thread(self.bulk, lambda bulk: make_plan(self.storage, bulk, smaller, self.quarantine))

    def usual(self, policy: Policy) -> UsualPlan | None:
        unusual = policy.guards.unusual
        if unusual is None or not self.log.is_there():
            return None
        return usual_plan(self.log, UsualRequest(policy=policy.name, runs=unusual.runs))

    @asynccontextmanager
    async def telling(self, tell: Callable[[str], None]) -> AsyncIterator[None]:
        telling = asyncio.create_task(self._tell(tell))
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            self.log.close()
            self.quarantine.close()

    def _watch(self, progress: Callable[[], Progress]) -> None:
        self.progress = progress

    async def _tell(self, tell: Callable[[str], None]) -> None:
        while True:
            if self.progress is not None:
                seen = self.progress()
                tell(f"reading the namespace: {seen.files:,} files in {seen.directories:,} folders")
            elif self.bulk.stage:
                tell(f"planning: {self.bulk.stage}")
            await asyncio.sleep(0.25)


def _same_scope(one: Policy, other: Policy) -> bool:
    return (one.select.source, one.select.paths) == (other.select.source, other.select.paths)
