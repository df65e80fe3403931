"""A batch becomes one job, however often the Hub's answer to its submit is lost."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from orchestrator.runs import run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.run import RunState

LOST: dict[str, Any] = {
    "the connection drops after the work": "drop_after",
    "a proxy answers 504 after the work": {"kind": "status", "status": 504, "when": "after"},
}


@pytest.fixture(params=["standard", "alternative"])
def hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", "--dialect", request.param) as running:
        yield running


@pytest.mark.long
@pytest.mark.long
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("how", LOST)
async def test_every_third_lost_answer_makes_no_second_job(
    how: str, client: Client, settings: Settings, hub: LocalHub
) -> None:
    files = hub.fill(200)
    hub.faults(
        {
            "name": "lost",
            "match": {"method": "POST", "path": "*/file/workflow/"},
            "action": LOST[how],
            "schedule": {"every": 3},
        }
    )
    policy = a_policy(files=1, concurrency=25, run=", recheck: none")
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(120):
        report = await run_report(client, run)

    assert (report.state, report.outcomes.done, report.jobs) == (RunState.SUCCEEDED, 200, 200)
    by_job = hub.paths_by_job()
    assert len(by_job) == 200
    paths = [path for found in by_job.values() for path in found]
    assert len(paths) == len(set(paths)) == len(files)
    log = AuditLog(settings.audit.get_secret_value())
    adopted = log.records(run=run, event="job.adopted", limit=1000)
    submitted = log.records(run=run, event="job.submitted", limit=1000)
    assert (len(adopted), len(submitted)) == (66, 134)


@pytest.mark.long
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("hub", ["standard"], indirect=True)
async def test_a_submit_that_never_reached_the_hub_is_sent_again(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(3)
    hub.faults(
        {
            "name": "early",
            "match": {"method": "POST", "path": "*/file/workflow/"},
            "action": {"kind": "status", "status": 503, "when": "before"},
            "schedule": {"first": 1},
        }
    )
    run = await start_run(client, settings, a_policy(files=3), actor="ann", reason="a test")
    async with asyncio.timeout(90):
        report = await run_report(client, run)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 3)
    assert len(hub.jobs()) == 1
