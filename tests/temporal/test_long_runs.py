"""A run of many segments: slots are handed over, and a long history is left for a fresh one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from orchestrator.runs import list_runs, pause, resume, run_progress, run_report, start_run
from orchestrator.services import free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import temporal_service
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
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
