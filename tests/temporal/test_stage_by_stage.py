"""What holds for one stage of a campaign only, and what a person said for all of them."""

import asyncio

import pytest
from temporalio.client import Client

from orchestrator.runs import run_report, run_status, set_limits, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_campaign
from tests.temporal.test_run_policy import slow, until_in_flight
from workflows.run import NewLimits, RunState, RunStatus


async def until(client: Client, run: str, stage: int, word: str) -> RunStatus:
    """Wait until a stage has begun and the run waits for something; "" for nothing."""
    async with asyncio.timeout(40):
        while True:
            status = await run_status(client, run)
            begun = status.rounds[-1].stage if status.rounds else 0
            if begun == stage and word in (status.waits_for or ""):
                return status
            assert not status.state.final, status
            await asyncio.sleep(0.1)


def enable(hub: LocalHub, name: str, enabled: bool) -> None:
    [one] = [one for one in hub.call("GET", "/api/workflows/")["results"] if one["name"] == name]
    hub.call("PATCH", f"/api/workflows/{one['id']}/", json={"enabled": enabled})


@pytest.mark.usefixtures("worker")
async def test_a_stage_waits_for_what_it_needs_itself_and_keeps_the_concurrency_that_a_person_set(
    client: Client, settings: Settings, hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.hub_health.LOOK_EVERY", 0.2)
    hub.fill(16)
    hub.faults(slow(1))
    stages = "[{workflow: premigrate, concurrency: 2}, {workflow: migrate, concurrency: 7}]"
    retry = "{failed_files: {attempts: 9, wait: [1s]}}\nbreaker: {stop_at: {percent: 50%, after_files: 5000}}"
    policy = a_campaign(stages, files=2, retry=retry)
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    await until_in_flight(client, run)
    enable(hub, "migrate", False)
    await set_limits(client, run, NewLimits(actor="bob", reason="the night is ours", concurrency=3))
    await asyncio.sleep(1)
    assert (await run_status(client, run)).waits_for is None
    hub.faults()
    held = await until(client, run, 2, "the Hub's workflow migrate is disabled")
    assert held.concurrency == 3
    enable(hub, "migrate", True)
    async with asyncio.timeout(40):
        report = await run_report(client, run)
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 16)
