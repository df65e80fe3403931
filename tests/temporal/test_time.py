"""Days of waiting in seconds: the time-skipping server jumps over every timer."""

import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from datetime import time as time_of_day
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.open_times import is_open
from orchestrator.runs import run_report, run_status
from orchestrator.settings import load_settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.odd_zones import odd_zones
from tests.temporal.direct import start_alone
from tests.temporal.policies import a_policy
from workflows.run import RunState
from workflows.running import Window


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(Path(sys.executable).parent / "temporal-test-server"),
        data_converter=pydantic_data_converter,
    ) as environment:
        yield environment


async def test_a_ladder_of_three_days_is_climbed_in_seconds(
    skipping: WorkflowEnvironment, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fill(10)
    hub.faults({"name": "thrice", "action": {"kind": "path_fail", "times": 3}, "match": {"file": "*/f00003.mov"}})
    settings = load_settings(
        state_dir=tmp_path / "state", hub_url=hub.url, hub_key=hub.key, task_queue=f"skip-{os.getpid()}"
    )
    policy = a_policy(retry="{failed_files: {attempts: 4, wait: [12h, 1d, 36h]}}")
    began = time.monotonic()
    async with working(settings, skipping.client, versioned=False):
        run = await start_alone(skipping.client, settings, policy)
        while not (await run_status(skipping.client, run)).state.final:
            await skipping.sleep(timedelta(hours=6))
        report = await run_report(skipping.client, run)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 10)
    assert report.took > timedelta(days=3)
    assert time.monotonic() - began < 60


@pytest.mark.long
async def test_over_a_fortnight_with_changes_of_the_clocks_no_batch_is_sent_outside_its_window(
    skipping: WorkflowEnvironment, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fill(80)
    settings = load_settings(
        state_dir=tmp_path / "state", hub_url=hub.url, hub_key=hub.key, task_queue=f"nights-{os.getpid()}"
    )
    policy = a_policy(files=1, run=", rate: {bytes_per_minute: 1B}")  # A batch of 100 bytes in 100 minutes.
    began = (await skipping.get_current_time()).replace(microsecond=0)
    hour = timedelta(hours=1)
    with odd_zones(tmp_path / "zones") as zones:
        zone = zones.made(hour, (began + 100 * hour, 0 * hour), (began + 220 * hour, 2 * hour))
        night = Window(start=time_of_day(19), end=time_of_day(4, 30), timezone=zone)
        policy = policy.model_copy(update={"run": policy.run.model_copy(update={"windows": (night,)})})
        async with working(settings, skipping.client, versioned=False):
            run = await start_alone(skipping.client, settings, policy)
            while not (await run_status(skipping.client, run)).state.final:
                await skipping.sleep(6 * hour)
            report = await run_report(skipping.client, run)
            history = await skipping.client.get_workflow_handle(f"{run}-r1-b0").fetch_history()
        sent = [
            event.event_time.ToDatetime(UTC)
            for event in history.events
            if event.activity_task_scheduled_event_attributes.activity_type.name == "submit_batch"
        ]
        assert [moment for moment in sent if not is_open(night, moment)] == []
    assert (report.state, report.outcomes.done, len(sent)) == (RunState.SUCCEEDED, 80, 80)
    assert report.took > timedelta(days=10)
    assert len(history.events) < 20 * 80
