"""What tests of watched pools say and ask: entries put, states waited for, records read and computed again."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.ledger.log import AuditLog
from orchestrator.settings import Settings
from orchestrator.watches import Watches
from orchestrator.worker import RUNNER, WORKFLOWS
from tests.local_hub import LocalHub
from workflows.policy import Policy
from workflows.pools import PoolState, WatchStatus

MIB = 1 << 20
CAPACITY = 16 * MIB
MARKS = "upper: 80%, lower: 50%, check_every: 1s, hold_down: 1h"


async def put(watches: Watches, *policies: Policy) -> None:
    for policy in policies:
        [wanted] = watches.wanted(policy, 1)
        await watches.put(wanted)


async def until(ask: Callable[[], Awaitable[Any]], within: float = 60.0) -> Any:
    async with asyncio.timeout(within):
        while not (found := await ask()):  # noqa: ASYNC110 - what is asked is another process
            await asyncio.sleep(0.2)
    return found


async def in_state(watches: Watches, *states: PoolState) -> WatchStatus:
    async def ask() -> WatchStatus | None:
        found = await watches.all()
        return next((one for one in found if one.state in states), None)

    status: WatchStatus = await until(ask)
    return status


def records(settings: Settings, event: str) -> list[dict[str, Any]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [one.body for one in log.records(event=event)]
    finally:
        log.close()


def used(hub: LocalHub, pool: str = "sas1") -> int:
    hub.call("POST", "/_local/recount")
    pools = hub.call("GET", "/api/storagepools/")
    rows = pools["results"] if isinstance(pools, dict) else pools
    return next(int(one["used_space"]) for one in rows if one["name"] == pool)


def check_numbers(decisions: list[dict[str, Any]]) -> None:
    """Recompute every decision from its own record."""
    for one in (body["numbers"] for body in decisions if body["act"] in ("drain", "settle", "block")):
        assert one["lower_bytes"] == one["lower"] * one["capacity"] // 100
        assert one["need"] == one["used"] - one["lower_bytes"] - one["in_flight"] - one["confirmed"]
        assert one["tranche"] == max(0, one["need"] if one["room"] is None else min(one["need"], one["room"]))


async def record_history(watches: Watches, status: WatchStatus, name: str) -> None:
    """Replay what has just happened; with RECORD_HISTORIES set, keep it for `test_replay.py` too."""
    history = await watches.history(status.ref)
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)
    if os.environ.get("RECORD_HISTORIES"):
        (Path(__file__).parent / "histories" / f"{name}.json").write_text(history.to_json() + "\n")
