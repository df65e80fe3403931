"""A Hub that lies, refuses or falls silent at the worst moment: no second job, no false account."""

import asyncio
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from activities.hub.jobs import SubmitRequest, submit
from activities.poller import JobPoller
from activities.submission import micros
from orchestrator.catalog import load_policy
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import cancel, run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.policy import Policy
from workflows.run import RunReport, RunState

SUBMIT = {"method": "POST", "path": "*/file/workflow/"}
DISCOVER = """
version: 1
name: discover
site: london
select: {from: {discovery: recursive}, paths: [/mmfs1/projects]}
run: {workflow: migrate}
"""


async def ended(client: Client, settings: Settings, policy: Policy, within: float = 90) -> RunReport:
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(within):
        return await run_report(client, run)


async def until(client: Client, run: str, jobs: int) -> None:
    async with asyncio.timeout(30):
        while sum(one.job is not None for one in (await run_progress(client, run)).in_flight) < jobs:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def paths_once(hub: LocalHub) -> bool:
    paths = [path for found in hub.paths_by_job().values() for path in found]
    return len(paths) == len(set(paths))


def rule(name: str, match: dict[str, Any], action: Any, **schedule: Any) -> dict[str, Any]:
    return {"name": name, "match": match, "action": action, "schedule": schedule}


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_an_error_while_looking_for_a_lost_job_proves_nothing(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(4)
    hub.faults(
        rule("lost", SUBMIT, "drop_after", first=1),
        rule("denied", {"method": "GET", "path": "/jobs/"}, {"kind": "status", "status": 403}, first=2),
    )
    report = await ended(client, settings, a_policy())
    assert (report.state, report.outcomes.done, len(hub.jobs())) == (RunState.SUCCEEDED, 4, 1)


@pytest.mark.usefixtures("worker")
async def test_a_refused_cancel_leaves_no_job_unwatched(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(6)
    hub.faults(
        {"name": "slow", "action": {"kind": "slow", "seconds": 1}},
        rule("refuses", {"method": "POST", "path": "*/cancel/"}, {"kind": "status", "status": 409}, first=1),
    )
    run = await start_run(client, settings, a_policy(files=3, concurrency=2), actor="ann", reason="a test")
    await until(client, run, 2)
    await cancel(client, run, actor="bob")
    async with asyncio.timeout(60):
        report = await run_report(client, run)
    assert report.state is RunState.CANCELLED
    assert sorted(job["state"] for job in hub.jobs()) in (["CANCELLED", "SUCCESS"], ["PARTIAL", "SUCCESS"])
    assert (report.jobs, report.outcomes.total) == (2, 6)
    assert report.outcomes.done >= 3


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_a_hub_that_finds_nothing_for_a_moment_makes_no_file_gone_and_no_job_deleted(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(12)
    hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 0.5}})
    run = await start_run(client, settings, a_policy(files=3, concurrency=1), actor="ann", reason="a test")
    await until(client, run, 1)
    nothing = rule("nothing", {"method": "GET", "path": "*"}, {"kind": "status", "status": 404}, first=40)
    hub.faults(nothing)
    async with asyncio.timeout(120):
        report = await run_report(client, run)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 12)
    assert paths_once(hub)


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_jobs_that_queue_at_the_hub_do_not_stall(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(24)
    hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 1.5}})
    policy = a_policy(
        files=2, concurrency=12, run=", stall_after: 4s, recheck: none", retry="{failed_files: {attempts: 1}}"
    )
    report = await ended(client, settings, policy)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 24)


@pytest.mark.usefixtures("worker")
async def test_a_discovered_job_of_somebody_else_is_not_taken_for_ours(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(5)
    body = {"site": "london", "workflow": "migrate", "paths": [{"path": "/mmfs1/projects/a/f00000.mov"}]}
    hub.call("POST", "/api/file/workflow/", json=body)
    hub.faults(rule("never", SUBMIT, {"kind": "status", "status": 504, "when": "before"}, first=1))
    report = await ended(client, settings, load_policy(DISCOVER.encode(), "discover.yaml"))
    assert (report.state, report.outcomes.failed) == (RunState.FAILED, {"aborted": 1})
    assert len(hub.jobs()) == 1


async def test_a_second_watch_of_a_job_outlives_the_first(hub: LocalHub) -> None:
    hub.fill(1)
    async with Hub(hub.url, credentials=credentials_from(key=hub.key)) as client:
        job = await submit(client, SubmitRequest("london", "migrate", ["/mmfs1/projects/a/f00000.mov"]))
        poller = JobPoller(client)
        first = poller.follow("london", job, micros())
        await first.__aenter__()
        async with poller.follow("london", job, micros()) as again:
            await first.__aexit__(None, None, None)
            assert await again.wait(5)


@pytest.mark.usefixtures("worker")
async def test_a_cancel_is_heard_while_a_segment_starts(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(12)
    hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 0.3}})
    for _ in range(5):
        policy = a_policy(files=1, concurrency=1, run=", recheck: none")
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        async for event in client.get_workflow_handle(run).fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                break
        await cancel(client, run, actor="bob")
        async with asyncio.timeout(60):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.total) == (RunState.CANCELLED, 12)
        assert report.jobs <= 2
