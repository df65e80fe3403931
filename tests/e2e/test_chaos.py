"""kill -9 of the worker, of Temporal and of the Hub, in the middle of a run, several times each."""

import asyncio
import time
from pathlib import Path

import pytest
from temporalio.service import RPCError

from orchestrator.reporting.progress import run_progress
from orchestrator.runs import RunError, run_report, start_run
from orchestrator.settings import Settings, load_settings
from orchestrator.temporal import TemporalUnreachable, connect
from tests.local_hub import LocalHub
from tests.machine import Process, worker_process
from tests.temporal.policies import a_policy
from workflows.progress import RunProgress
from workflows.run import RunReport, RunState

FILES = 240
SLOW = {"name": "slow", "action": {"kind": "slow", "seconds": 0.15}}


@pytest.fixture
def settings(temporal: Process, worker: Process, local_hub: LocalHub, tmp_path: Path) -> Settings:
    """The settings of the worker process, for the side that starts runs."""
    return load_settings(
        state_dir=tmp_path / "worker", temporal_address=temporal.address, hub_url=local_hub.url, hub_key=local_hub.key
    )


async def started(settings: Settings) -> str:
    client = await connect(settings)
    return await start_run(client, settings, a_policy(files=6, concurrency=5), actor="ann", reason="chaos")


async def progress_of(settings: Settings, run: str) -> RunProgress | None:
    try:
        async with asyncio.timeout(5):
            return await run_progress(await connect(settings), run)
    except (TemporalUnreachable, RPCError, RunError, TimeoutError):
        return None


async def ended(settings: Settings, run: str, within: float) -> RunReport:
    async with asyncio.timeout(within):
        while True:
            progress = await progress_of(settings, run)
            if progress is not None and progress.state.final:
                return await run_report(await connect(settings), run)
            await asyncio.sleep(0.5)


async def until_done(settings: Settings, run: str, files: int, within: float = 60) -> None:
    async with asyncio.timeout(within):
        while True:
            progress = await progress_of(settings, run)
            if progress is not None and progress.counts.total >= files:
                return
            await asyncio.sleep(0.2)


@pytest.mark.long
async def test_any_process_may_die_at_any_time(
    settings: Settings, temporal: Process, worker: Process, local_hub: LocalHub
) -> None:
    local_hub.fill(FILES)
    local_hub.faults(SLOW)
    run = await started(settings)
    await until_done(settings, run, 10)

    for _ in range(3):
        await asyncio.to_thread(worker.restart, 0.3)
        await asyncio.sleep(2)
        await asyncio.to_thread(temporal.restart, 0.3)
        await asyncio.sleep(2)
        await asyncio.to_thread(local_hub.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(local_hub.start)
        await asyncio.sleep(2)
    report = await ended(settings, run, 150)

    assert report.state is RunState.SUCCEEDED
    assert report.outcomes.done == FILES
    paths = [path for found in local_hub.paths_by_job().values() for path in found]
    assert len(paths) == len(set(paths)) == FILES
    processed = local_hub.call("GET", "/_local/processed")
    assert set(processed_counts(processed)) == {1}


@pytest.mark.long
async def test_the_loss_of_the_worker_costs_less_than_a_minute(
    settings: Settings, worker: Process, local_hub: LocalHub
) -> None:
    local_hub.fill(60)
    local_hub.faults(SLOW)
    run = await started(settings)
    await until_done(settings, run, 10)
    worker.kill()
    local_hub.faults()
    await asyncio.sleep(1)
    worker.start()
    began = time.monotonic()
    report = await ended(settings, run, 60)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 60)
    assert time.monotonic() - began < 60
    assert len(local_hub.jobs()) == 10


@pytest.mark.long
async def test_workers_share_the_batches_of_a_run_and_the_loss_of_one_is_a_delay(
    temporal: Process, local_hub: LocalHub, tmp_path: Path
) -> None:
    key = local_hub.state / "admin.key"
    settings = load_settings(
        state_dir=tmp_path / "one", temporal_address=temporal.address, hub_url=local_hub.url, hub_key=local_hub.key
    )
    shared = {
        "ORCHESTRATOR_STORE_URL": settings.storage,
        "ORCHESTRATOR_AUDIT_URL": settings.audit.get_secret_value(),
        "ORCHESTRATOR_WORKER_ACTIVITIES": "4",  # The run has five batches in flight: more than one worker takes.
    }
    workers = [
        worker_process(tmp_path / name, temporal=temporal.address, hub=local_hub.url, key=key, environment=shared)
        for name in ("one", "other")
    ]
    try:
        local_hub.fill(FILES)
        local_hub.faults(SLOW)
        run = await started(settings)
        await until_done(settings, run, FILES // 4)
        assert len(await workers_of(settings, run)) == 2
        workers[1].kill()
        local_hub.faults()
        began = time.monotonic()
        report = await ended(settings, run, 60)
    finally:
        for worker in workers:
            worker.stop()
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, FILES)
    print(f"without its second worker the run ended within {time.monotonic() - began:.1f} s")
    paths = [path for found in local_hub.paths_by_job().values() for path in found]
    assert len(paths) == len(set(paths)) == FILES


async def workers_of(settings: Settings, run: str) -> set[str]:
    """Name the workers that have sent or watched batches of a run."""
    client = await connect(settings)
    progress = await run_progress(client, run)
    return {
        event.activity_task_started_event_attributes.identity
        for segment in progress.status.open_segments
        async for event in client.get_workflow_handle(segment).fetch_history_events()
        if event.HasField("activity_task_started_event_attributes")
    }


def processed_counts(answer: object) -> list[int]:
    """How often each path was processed, as the Hub counted."""
    assert isinstance(answer, dict)
    return [int(count) for count in answer.values()]
