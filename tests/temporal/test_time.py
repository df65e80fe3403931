"""Days of waiting in seconds: the time-skipping server jumps over every timer."""

import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from orchestrator.runs import run_report, run_status
from orchestrator.settings import load_settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.temporal.direct import start_alone
from tests.temporal.policies import a_policy
from workflows.run import RunState


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
