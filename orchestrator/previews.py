"""A plan without a run: lists, matches and writes the manifest with the run's own code; nothing moves."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.bulk import Bulk
from activities.inventory import InventoryRef, InventoryRequest, take_inventory
from activities.listing import Progress
from activities.manifests import read_batch
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from orchestrator.hub import open_hub
from orchestrator.settings import Settings
from workflows.control import breach, caps
from workflows.names import to_text
from workflows.plan import Plan
from workflows.policy import Policy


@dataclass(frozen=True)
class Preview:
    """What a run would do now: its plan, the inventory behind it, and the guard that would refuse it."""

    plan: Plan
    inventory: InventoryRef
    refused_by: str | None


async def preview(
    settings: Settings,
    policy: Policy,
    *,
    as_of: datetime | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Preview:
    """List the namespace through the Hub and make the plan; `tell` hears how far it is."""
    now = datetime.now(UTC)
    name = f"plan-{policy.name}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    storage = open_storage(settings.storage)
    source = policy.select.source
    request = InventoryRequest(name=name, site=policy.one_site, source=source, paths=policy.select.paths)
    latest: list[Callable[[], Progress]] = []
    async with open_hub(settings) as hub:
        telling = asyncio.create_task(_tell(latest, tell))
        try:
            inventory = await take_inventory(hub, storage, _bulk(settings), request, watch=latest.append)
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
    tell(f"matching {inventory.files:,} files")
    moment_us = round((as_of or now).timestamp() * 1_000_000)
    asked = PlanRequest(run=name, policy=policy, inventory=inventory, as_of_us=moment_us)
    plan = await asyncio.to_thread(make_plan, storage, _bulk(settings), asked)
    now_us = round(now.timestamp() * 1_000_000)
    if policy.guards.on_exceed == "truncate" and breach(plan, policy.guards, now_us=now_us):
        files, size = caps(plan, policy.guards)
        smaller = asked.model_copy(update={"cap_files": files, "cap_bytes": size})
        plan = await asyncio.to_thread(make_plan, storage, _bulk(settings), smaller)
    return Preview(plan, inventory, breach(plan, policy.guards, now_us=now_us))


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


def _bulk(settings: Settings) -> Bulk:
    return Bulk(int(settings.selection_memory), settings.spill_dir)


async def _tell(latest: list[Callable[[], Progress]], tell: Callable[[str], None]) -> None:
    while True:
        if latest:
            progress = latest[-1]()
            tell(f"reading the namespace: {progress.files:,} files in {progress.directories:,} folders")
        await asyncio.sleep(0.25)
