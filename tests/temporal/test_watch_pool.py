"""A watched pool on the real local Hub: bytes that really move, and the records that tell why."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.ledger.log import AuditLog
from activities.storage import open_storage
from orchestrator.applied import NoWorker
from orchestrator.settings import Settings
from orchestrator.watches import Watches
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.pool_entries import a_drain
from tests.temporal.watching import (
    CAPACITY,
    MARKS,
    MIB,
    check_numbers,
    in_state,
    put,
    record_history,
    records,
    until,
    used,
)
from workflows.pools import PoolState


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", "--capacity", str(CAPACITY)) as running:
        yield running


@pytest.fixture
async def watches(settings: Settings, client: Client, worker: None) -> AsyncIterator[Watches]:
    yield Watches(client, settings.task_queue, open_storage(settings.storage))


@pytest.mark.long
async def test_a_drain_ends_within_one_batch_below_lower_while_files_arrive_and_a_batch_fails(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(56, size=MIB // 4)  # 14 of 16 MiB
    hub.faults(
        {"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*0000[0-4].mov"}},
        {"name": "slow", "action": {"kind": "slow", "seconds": 0.05}},
    )
    arriving = asyncio.create_task(_arrive(hub))
    await put(watches, a_drain(MARKS, files=5))
    await in_state(watches, PoolState.DRAINING)
    status = await in_state(watches, PoolState.HOLDING, PoolState.BLOCKED)
    arriving.cancel()
    with suppress(asyncio.CancelledError):
        await arriving
    decisions = records(settings, "pool.decided")
    assert status.state is PoolState.HOLDING
    await record_history(watches, status, "watch-pool-drained")
    end = decisions[-1]
    assert end["act"] == "end"
    assert CAPACITY // 2 - 5 * MIB // 4 <= end["numbers"]["used"] <= CAPACITY // 2
    assert len([one for one in decisions if one["act"] == "drain"]) >= 2  # the arrivals wanted another tranche
    check_numbers(decisions)


async def _arrive(hub: LocalHub) -> None:
    for number in range(8):
        await asyncio.sleep(0.25)
        (hub.projects / "a" / f"new{number}.mov").write_bytes(os.urandom(MIB // 4))


@pytest.mark.long
async def test_ten_policies_on_one_pool_have_one_watcher_and_one_drain_at_a_time(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    for number in range(10):
        hub.fill(6, size=MIB // 4, folder=f"d{number}", suffix=f"t{number}")  # 15 of 16 MiB
    entries = [a_drain(MARKS, name=f"drain-{n}", suffix=f"t{n}", priority=1 if n == 7 else 3) for n in range(10)]
    await put(watches, *entries)
    await in_state(watches, PoolState.HOLDING)
    [status] = await watches.all()
    assert len(status.entries) == 10
    log = AuditLog(settings.audit.get_secret_value())
    told = [one for one in log.records() if one.event in ("run.started", "run.ended") and one.run]
    log.close()
    assert [one.event for one in told] == ["run.started", "run.ended"] * (len(told) // 2)
    turns = [body["policy"] for body in records(settings, "pool.decided") if body["act"] == "drain"]
    assert turns[0] == "drain-0" or turns[0] == "drain-7"
    assert len(set(turns)) >= 4


@pytest.mark.long
async def test_a_pool_whose_lower_mark_cannot_be_reached_is_blocked_with_an_alert_and_not_a_loop(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(4, size=MIB // 4)
    hub.fill(52, size=MIB // 4, folder="b", suffix="keep")
    await put(watches, a_drain(MARKS))
    status = await in_state(watches, PoolState.BLOCKED)
    await record_history(watches, status, "watch-pool-blocked")
    acts = [body["act"] for body in records(settings, "pool.decided")]
    await asyncio.sleep(3)
    assert [body["act"] for body in records(settings, "pool.decided")] == acts
    assert acts.count("drain") == 2 and acts[-1] == "block"
    assert any("cannot be reached" in body["why"] for body in records(settings, "pool.alert"))


async def test_files_between_the_marks_are_copied_so_that_they_can_be_freed_at_once(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(56, size=MIB // 4)
    await put(watches, a_drain("upper: 80%, lower: 50%, premigrate: 25%, check_every: 1s, hold_down: 1h"))

    async def copied() -> bool:
        ended = records(settings, "pool.run_ended")
        return bool(ended) and len(ended) >= 2 and ended[-1]["done"] == 4 * MIB

    await until(copied)
    acts = [body["act"] for body in records(settings, "pool.decided") if body["act"] != "settle"]
    assert acts[-1] == "premigrate" and used(hub) > 7 * MIB


async def test_a_watcher_without_entries_ends(hub: LocalHub, watches: Watches) -> None:
    entry = a_drain(MARKS)
    await put(watches, entry)
    [there] = await until(watches.there)
    assert there.digest == watches.wanted(entry, 1)[0].digest
    await watches.remove(there)
    await watches.remove(there)

    async def gone() -> bool:
        return not await watches.all()

    assert await until(gone, within=10)


async def test_without_a_worker_the_watchers_say_so_instead_of_hanging(
    hub: LocalHub, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.watches.ANSWERED_WITHIN", timedelta(seconds=1))
    watches, entry = Watches(client, settings.task_queue, open_storage(settings.storage)), a_drain(MARKS)
    [wanted] = watches.wanted(entry, 1)
    async with working(settings, client):
        await put(watches, entry)
    with pytest.raises(NoWorker, match=r"no worker answers for the watched pools: start one"):
        await watches.all([wanted.id])
