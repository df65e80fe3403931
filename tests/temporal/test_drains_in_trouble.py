"""Drains that something stands in the way of: failing files, people who hold or cancel, a full place, a lost worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.holds import Holds
from activities.ledger.log import AuditLog
from activities.storage import open_storage
from orchestrator.runs import cancel, run_status, start_run
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
from workflows.pools import PoolState, WatchStatus
from workflows.run import RunRequest

SLOW = {"name": "slow", "action": {"kind": "slow", "seconds": 0.3}}
FILE = MIB // 4


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", "--capacity", str(CAPACITY), "--target-capacity", str(CAPACITY)) as running:
        yield running


@pytest.fixture
async def watches(settings: Settings, client: Client, worker: None) -> AsyncIterator[Watches]:
    yield Watches(client, settings.task_queue, open_storage(settings.storage))


@pytest.fixture
def holds(settings: Settings) -> Iterator[Holds]:
    log = AuditLog(settings.audit.get_secret_value())
    yield Holds(log)
    log.close()


async def status_with(watches: Watches, **wanted: str) -> WatchStatus:
    """Wait for a status of which each of these fields holds a text."""

    async def ask() -> WatchStatus | None:
        for one in await watches.all():
            if all(text in str(getattr(one, field)) for field, text in wanted.items()):
                return one
        return None

    found: WatchStatus = await until(ask, within=30)
    return found


def acts(settings: Settings) -> list[str]:
    return [body["act"] for body in records(settings, "pool.decided") if body["act"] != "settle"]


def alerts(settings: Settings) -> str:
    return "\n".join(body["why"] for body in records(settings, "pool.alert"))


@pytest.mark.long
async def test_files_that_always_fail_are_left_out_and_those_behind_them_free_the_pool(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(56, size=FILE)  # 14 of 16 MiB
    bad = "*/f000[0-2]?.mov"  # the first thirty of the order, more than a whole tranche
    hub.faults({"name": "bad", "action": {"kind": "path_fail"}, "match": {"file": bad}})
    await put(watches, a_drain(MARKS, attempts=1))
    status = await in_state(watches, PoolState.HOLDING, PoolState.BLOCKED)
    assert status.state is PoolState.HOLDING
    assert used(hub) <= CAPACITY // 2
    tried = [path for paths in hub.paths_by_job().values() for path in paths]
    assert len(tried) == len(set(tried))
    check_numbers(records(settings, "pool.decided"))


async def test_a_drain_of_which_only_failing_files_are_left_ends_with_an_alert_that_counts_them(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(56, size=FILE)
    hub.faults({"name": "bad", "action": {"kind": "path_fail"}, "match": {"file": "*[0-8].mov"}})
    await put(watches, a_drain(MARKS, attempts=1))
    status = await in_state(watches, PoolState.HOLDING, PoolState.BLOCKED)
    assert status.state is PoolState.BLOCKED
    assert "the lower mark cannot be reached: drain has nothing left that frees space, 51 files" in alerts(settings)


async def test_a_destination_is_filled_to_its_mark_and_by_no_byte_more(
    hub: LocalHub, watches: Watches, settings: Settings
) -> None:
    hub.fill(46, size=300 * 1024)  # 13.5 of 16 MiB; the drain wants 5.5 of them gone
    marks = f"{MARKS}, premigrate: 30%, max_utilisation: 20%, destination_pool: nearline"
    most, highest = CAPACITY // 5, 0
    await put(watches, a_drain(marks))

    async def blocked() -> bool:
        nonlocal highest
        highest = max(highest, used(hub, "nearline"))
        return any(one.state is PoolState.BLOCKED for one in await watches.all())

    await until(blocked)
    await asyncio.sleep(1)
    assert most - 304 * 1024 < max(highest, used(hub, "nearline")) <= most
    assert "below" in alerts(settings) and "max_utilisation" in alerts(settings)
    check_numbers(records(settings, "pool.decided"))


@pytest.mark.long
async def test_a_freeze_during_a_drain_starts_no_further_run_and_the_thaw_lets_it_go_on(
    hub: LocalHub, watches: Watches, settings: Settings, holds: Holds
) -> None:
    hub.fill(54, size=FILE)
    hub.faults(SLOW)  # The new files must be there before the first run has ended.
    await put(watches, a_drain(MARKS))
    await status_with(watches, run="drain-")
    hold = await asyncio.to_thread(holds.put, "freeze", actor="ann", reason="a fire drill", key="1")
    hub.fill(8, size=FILE, folder="new")
    await status_with(watches, waits_for="ann froze all", state="draining")
    hub.faults()
    await asyncio.sleep(2.5)
    assert acts(settings) == ["drain", "wait"]
    assert len(records(settings, "start.wished")) == 1
    await asyncio.to_thread(holds.lift, hold, actor="ann", reason="over")
    await in_state(watches, PoolState.HOLDING)
    assert acts(settings) == ["drain", "wait", "drain", "end"]


@pytest.mark.long
async def test_a_drain_whose_run_somebody_cancels_rests_and_says_so(
    hub: LocalHub, watches: Watches, settings: Settings, client: Client
) -> None:
    hub.fill(56, size=FILE)
    hub.faults(SLOW)
    await put(watches, a_drain("upper: 80%, lower: 50%, check_every: 1s"))
    run = (await status_with(watches, run="drain-")).run
    assert run is not None
    await until(lambda: asyncio.to_thread(hub.jobs))
    await cancel(client, run, actor="bob", reason="not now")
    status = await in_state(watches, PoolState.BLOCKED)
    await record_history(watches, status, "watch-pool-cancelled")
    hub.fill(4, size=FILE, folder="new")
    await asyncio.sleep(3)
    assert acts(settings) == ["drain"]
    assert status.book.blocked is not None
    assert (status.book.blocked.until - status.book.blocked.since).total_seconds() == 600
    assert f"run {run} was cancelled by somebody" in alerts(settings) and "no drain before" in alerts(settings)


async def test_an_open_run_of_the_policy_counts_as_in_flight_and_is_waited_for(
    hub: LocalHub, watches: Watches, settings: Settings, client: Client
) -> None:
    hub.fill(56, size=FILE)
    hub.faults(SLOW)
    entry = a_drain(MARKS)
    run = await start_run(client, settings, entry, actor="ann", reason="by hand")
    await until(lambda: asyncio.to_thread(hub.jobs))
    await put(watches, entry)
    await in_state(watches, PoolState.DRAINING)
    first = await until(lambda: asyncio.to_thread(records, settings, "pool.decided"))
    assert first[0]["act"] == "settle" and first[0]["numbers"]["in_flight"] > 0
    hub.faults()
    await in_state(watches, PoolState.HOLDING)
    assert [body["run"] for body in records(settings, "start.begun")] == [run]


@pytest.mark.long
async def test_copying_gives_way_to_a_drain_that_is_urgent_at_the_critical_mark(
    hub: LocalHub, watches: Watches, settings: Settings, client: Client
) -> None:
    hub.fill(30, size=FILE)  # 7.5 of 16 MiB
    hub.faults(SLOW)
    await put(watches, a_drain(f"{MARKS}, premigrate: 20%, critical: 90%"))
    await status_with(watches, run="drain-")
    await until(lambda: asyncio.to_thread(hub.jobs))
    hub.fill(32, size=FILE, folder="new")  # 15.5: critical
    await in_state(watches, PoolState.CRITICAL)
    assert acts(settings)[:2] == ["premigrate", "drain"]
    begun = await until(lambda: asyncio.to_thread(lambda: records(settings, "start.begun")[1:]))
    drain = begun[0]["run"]
    hub.faults()
    request = await _asked(client, drain)
    assert request.urgent and request.enough_bytes is not None
    status = await in_state(watches, PoolState.HOLDING)
    await record_history(watches, status, "watch-pool-copying")
    assert "it gives way to a drain" in str(records(settings, "run.stopped"))


async def _asked(client: Client, run: str) -> RunRequest:
    async for event in client.get_workflow_handle(run).fetch_history_events():
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        [request] = await client.data_converter.decode(payloads, [RunRequest])
        assert isinstance(request, RunRequest)
        return request
    raise AssertionError("a workflow without an event")


@pytest.mark.long
async def test_what_was_seen_of_sustain_outlives_the_worker(hub: LocalHub, settings: Settings, client: Client) -> None:
    hub.fill(56, size=FILE)
    watches = Watches(client, settings.task_queue, open_storage(settings.storage))
    async with working(settings, client):
        await put(watches, a_drain(f"{MARKS}, sustain: 7s"))
        await asyncio.sleep(3)
        began = time.time()
    await asyncio.sleep(0.5)
    async with working(settings, client):

        async def drained() -> list[dict[str, Any]]:
            return await asyncio.to_thread(records, settings, "pool.decided")

        [first, *_] = await until(drained)
    measured = datetime.fromisoformat(first["measured"]).timestamp()
    assert first["act"] == "drain"
    assert 2 < measured - began < 7  # with the worker's memory alone it would have begun anew: 7 s and more


async def test_a_drain_that_waits_for_its_window_goes_on_at_once_when_the_pool_becomes_critical(
    hub: LocalHub, watches: Watches, settings: Settings, client: Client
) -> None:
    hub.fill(30, size=FILE)  # 7.5 of 16 MiB
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(datetime.now(UTC).weekday() + 3) % 7]
    bounds = f', windows: [{{days: {day}, from: "01:00", to: "02:00"}}], rate: {{files_per_minute: 1}}'
    await put(watches, a_drain("upper: 40%, lower: 30%, critical: 75%, check_every: 1s, hold_down: 1h", run=bounds))
    status = await status_with(watches, state="draining", run="drain-")

    async def is_held() -> bool:
        return "its window" in ((await run_status(client, status.run or "")).waits_for or "")

    await until(is_held)
    hub.fill(24, size=FILE, folder="b", suffix="keep")  # 13.5 of 16 MiB
    hub.call("POST", "/_local/recount")

    async def is_urgent() -> bool:
        return bool(records(settings, "run.limits_set"))

    await until(is_urgent)
    await until(lambda: has_ended(client, status.run or ""), within=30)
    [hurried] = records(settings, "run.limits_set")
    assert hurried["after"] == {"concurrency": 2, "rate": None, "window": False}
    assert "pool london/sas1 at 84.4% is critical" in hurried["reason"]


async def has_ended(client: Client, run: str) -> bool:
    return (await run_status(client, run)).state.final
