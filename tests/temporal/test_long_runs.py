"""A run of many segments: slots are handed over, and a long history is left for a fresh one."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from activities.storage import open_storage
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import list_runs, pause, resume, run_report, run_status, set_limits, start_run
from orchestrator.services import free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import temporal_service
from orchestrator.watches import Watches
from tests.local_hub import LocalHub
from tests.pool_entries import a_drain
from tests.temporal.policies import a_campaign, a_policy
from tests.temporal.watching import in_state, put, records
from workflows.plan import OutcomeCounts
from workflows.pools import PoolState
from workflows.run import NewLimits, RunState


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


@pytest.mark.long
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
async def test_segments_end_early_when_their_history_is_long_and_the_next_goes_on_behind(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.segments.SEGMENT_EVENTS", 60)
    monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 20)
    hub.fill(50)
    run = await start_run(client, settings, a_policy(files=1, concurrency=4), actor="ann", reason="a test")
    async with asyncio.timeout(60):
        report = await run_report(client, run)
    assert (report.state, report.outcomes.done, report.jobs) == (RunState.SUCCEEDED, 50, 50)
    paths = [path for found in hub.paths_by_job().values() for path in found]
    assert len(paths) == len(set(paths)) == 50
    segments = [one async for one in client.list_workflows("WorkflowType = 'RunBatches'") if one.id.startswith(run)]
    assert len(segments) > 4  # Three, if each went through to its last batch.


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_a_breaker_that_tries_for_weeks_does_not_fill_the_history(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.segments.RUN_EVENTS", 120)
    hub.fill(40)
    hub.faults({"name": "sick", "action": {"kind": "path_fail", "code": "TARGET_DOWN", "times": 9999}, "match": {}})
    retry = "{failed_files: {attempts: 3, wait: [1s]}}\nbreaker: {stop_at: {consecutive_jobs: 2}, probe: 1s}"
    run = await start_run(client, settings, a_policy(files=1, concurrency=2, retry=retry), actor="ann", reason="a test")
    async with asyncio.timeout(60):
        while len([one async for one in client.list_workflows(f"WorkflowId = '{run}'")]) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.3)
    assert "the breaker " in ((await run_status(client, run)).waits_for or "")
    hub.faults()
    async with asyncio.timeout(60):
        report = await run_report(client, run)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 40)
    assert len([event async for event in client.get_workflow_handle(run).fetch_history_events()]) < 250


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_a_campaign_keeps_its_place_within_a_stage_when_its_history_begins_anew(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 3)
    hub.fill(60)
    torn = {"kind": "path_fail", "code": "EACCES"}
    hub.faults(
        {"name": "first", "action": torn, "match": {"file": "*3.mov", "workflow": "premigrate"}},
        {"name": "then", "action": torn, "match": {"file": "*7.mov", "workflow": "migrate"}},
    )
    policy = a_campaign("[{workflow: premigrate}, {wait: 1s}, {workflow: migrate}]", files=2)
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(90):
        report = await run_report(client, run)
    assert report.outcomes == OutcomeCounts(done=48, failed={"permission_denied": 12}, bytes_done=4800)
    assert [(record.stage, record.files) for record in report.rounds] == [(1, 60), (3, 54)]
    paths = [path for found in hub.paths_by_job().values() for path in found]
    assert Counter(Counter(paths).values()) == {2: 54, 1: 6}
    assert len([one async for one in client.list_workflows(f"WorkflowId = '{run}'")]) > 2


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_its_rate_its_breaker_and_new_limits_go_on_with_it(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 3)
    hub.fill(80)
    sick = {"name": "sick", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*/f000[34]?.mov"}}
    hub.faults(sick)
    ladder = "{failed_files: {attempts: 2, wait: [1s]}}\nbreaker: {stop_at: {percent: 60%, after_files: 8}, probe: 1s}"
    policy = a_policy(files=2, concurrency=2, run=", rate: {jobs_per_minute: 300}", retry=ladder)
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    while not (await run_progress(client, run)).counts.done:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await set_limits(client, run, NewLimits(actor="bob", concurrency=3))
    async with asyncio.timeout(120):
        report = await run_report(client, run)

    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 80)
    histories = [one async for one in client.list_workflows(f"WorkflowId = '{run}'")]
    assert len(histories) > 2
    assert (await run_status(client, run)).concurrency == 3
    log = AuditLog(settings.audit.get_secret_value())
    stands = [record.body["stand"] for record in log.records(run=run) if record.event == "breaker.changed"]
    assert (stands[:2], stands[-1]) == (["open", "probing"], "closed")
    sent = sorted(datetime.fromisoformat(job["created"]) for job in hub.jobs())
    for first in range(len(sent) - 10):  # 300 a minute are ten in two seconds; submits are a little uneven.
        assert sent[first + 10] - sent[first] > timedelta(seconds=1.2)


@pytest.mark.long
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
