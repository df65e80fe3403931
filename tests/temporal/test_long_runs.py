"""A run of many segments: slots are handed over, and a long history is left for a fresh one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.storage import open_storage
from orchestrator.runs import list_runs, pause, resume, run_progress, run_report, start_run
from orchestrator.services import free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import temporal_service
from orchestrator.watches import Watches
from tests.local_hub import LocalHub
from tests.pool_entries import a_drain
from tests.temporal.policies import a_policy
from tests.temporal.watching import in_state, put, records
from workflows.pools import PoolState
from workflows.run import RunState


@pytest.fixture
def temporal_address(tmp_path: Path) -> Iterator[str]:
    """A server that finds a history long after 60 events."""
    port = free_port()
    service = temporal_service(load_settings(state_dir=tmp_path), port, tmp_path / "temporal.log")
    service.command += ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=60"]
    service.start()
    try:
        service.wait_until_ready()
        yield f"127.0.0.1:{port}"
    finally:
        service.stop()


@pytest.mark.usefixtures("worker")
async def test_a_run_goes_on_with_a_fresh_history_and_loses_nothing(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 3)
    hub.fill(90)
    hub.faults({"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*7.mov"}})
    policy = a_policy(files=2, concurrency=4)
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    await asyncio.sleep(2)
    await pause(client, run, actor="bob")
    assert (await run_progress(client, run)).state is RunState.PAUSED
    await resume(client, run, actor="bob")
    async with asyncio.timeout(90):
        report = await run_report(client, run)

    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 90)
    assert [record.files for record in report.rounds] == [90, 9]
    paths = [path for found in hub.paths_by_job().values() for path in found]
    assert len(paths) == 99
    histories = [one async for one in client.list_workflows(f"WorkflowId = '{run}'")]
    assert len(histories) > 2
    listed = await list_runs(client, settings.task_queue)
    assert [(one.run, one.state) for one in listed] == [(run, "succeeded")]
    assert abs(listed[0].started - report.started).total_seconds() < 5


@pytest.mark.usefixtures("worker")
async def test_a_drain_goes_on_with_a_fresh_history_and_remembers_what_it_tried(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(60, size=1 << 18)  # 15 of 10,240 MiB
    hub.faults({"name": "bad", "action": {"kind": "path_fail"}, "match": {"file": "*[0-4].mov"}})
    watches = Watches(client, settings.task_queue, open_storage(settings.storage))
    await put(watches, a_drain("upper: 0.14%, lower: 0.09%, check_every: 1s, hold_down: 1h", attempts=1, files=50))
    status = await in_state(watches, PoolState.HOLDING, PoolState.BLOCKED)
    assert status.state is PoolState.HOLDING
    acts = [body["act"] for body in records(settings, "pool.decided") if body["act"] != "settle"]
    assert acts == ["drain"] * (len(acts) - 1) + ["end"] and len(acts) > 3
    assert len(records(settings, "start.begun")) == len(acts) - 1
    histories = [one async for one in client.list_workflows("WorkflowType = 'WatchPool'")]
    assert len(histories) >= 2
    tried = [path for paths in hub.paths_by_job().values() for path in paths]
    assert len(tried) == len(set(tried))
