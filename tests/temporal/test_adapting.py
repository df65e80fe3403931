"""A concurrency that adapts, on a real Temporal and a real Hub that is never at its end."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from orchestrator.runs import RunError, cancel, run_report, run_status, set_limits, start_run
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from tests.temporal.test_run_policy import slow, until_in_flight
from workflows.policy import Policy
from workflows.run import NewLimits, RunStatus


def adaptive(files: int, least: int, most: int) -> Policy:
    policy = a_policy(files=files)
    run = type(policy.run).model_validate({**policy.run.model_dump(), "concurrency": {"min": least, "max": most}})
    return policy.model_copy(update={"run": run})


def steps(settings: Settings, run: str) -> list[dict[str, Any]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [record.body for record in log.records(run=run) if record.event == "run.adapted"]
    finally:
        log.close()


async def until_adapted(client: Client, run: str, slots: int) -> RunStatus:
    async with asyncio.timeout(40):
        while (status := await run_status(client, run)).concurrency != slots:
            assert not status.state.final, status
            await asyncio.sleep(0.1)
    return status


async def test_it_grows_with_the_throughput_tells_why_and_gives_way_to_a_person(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(200)
    hub.faults(slow(0.6))
    async with working(settings, client):
        run = await start_run(client, settings, adaptive(1, 2, 8), actor="ann", reason="a test")
        await until_adapted(client, run, 4)
        status = await until_adapted(client, run, 8)
        await until_in_flight(client, run, 8)
    assert status.adapted is not None and (status.adapted.before, status.adapted.slots) == (4, 8)
    assert status.adapted.why.startswith("throughput grew by ")
    told = steps(settings, run)
    assert [(one["before"], one["slots"]) for one in told[:2]] == [(2, 4), (4, 8)]
    assert told[1]["why"] == status.adapted.why
    async with working(settings, client):
        assert (await run_status(client, run)).concurrency >= 2, "a new worker may find a step back better"
        by_hand = await set_limits(client, run, NewLimits(actor="bob", reason="visitors", concurrency=3))
        assert (by_hand.concurrency, by_hand.bounds) == (3, None)
        await asyncio.sleep(2)
        assert (await run_status(client, run)).concurrency == 3
        back = await set_limits(client, run, NewLimits(actor="bob", adapts=True))
        assert back.concurrency >= 2 and back.bounds is not None
        await cancel(client, run, actor="ann")
        await run_report(client, run)


@pytest.mark.usefixtures("worker")
async def test_a_number_cannot_be_made_to_adapt(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(1)
    hub.faults(slow(30))
    run = await start_run(client, settings, a_policy(), actor="ann", reason="a test")
    await until_in_flight(client, run)
    with pytest.raises(RunError, match="gives no bounds between which its concurrency could adapt"):
        await set_limits(client, run, NewLimits(actor="bob", adapts=True))
    await cancel(client, run, actor="ann")
