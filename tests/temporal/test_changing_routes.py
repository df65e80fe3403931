"""Routes that change or go while the events for them are on their way: what was wanted starts, nothing else."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.applied_policies import AppliedPolicies, policy_place
from activities.audit import Audit
from activities.events import Events
from activities.ledger.log import AuditLog
from activities.router_line import RouterLine
from activities.storage import open_storage
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.event_records import find_event
from orchestrator.routes import Routes, router_status
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.temporal.test_router import told
from workflows.bursts import ToldEvent
from workflows.events import CloudEvent
from workflows.routes import Matched

POLICY = """\
version: 1
name: {name}
site: london
triggers: {triggers}
select: {{from: {{space: projects}}, rules: [{{name: media, match: {{type: [mov]}}}}]}}
run: {{workflow: migrate}}
"""
NOW = "{event: {type: now, settle: 0s}}"
OTHER = "{event: {type: other, settle: 0s}}"


def policy(name: str, *triggers: str) -> LoadedPolicy:
    return read_policy(POLICY.format(name=name, triggers=f"[{', '.join(triggers)}]").encode(), name)


async def put(settings: Settings, client: Client, loaded: LoadedPolicy, version: int) -> None:
    routes = Routes(client, settings.task_queue, open_storage(settings.storage))
    [wanted] = routes.wanted(loaded.policy, version)
    await routes.put(wanted)


async def remove(settings: Settings, client: Client, name: str) -> None:
    routes = Routes(client, settings.task_queue, open_storage(settings.storage))
    [there] = [one for one in await routes.there() if one.policy == name]
    await routes.remove(there)


async def wished(settings: Settings, count: int) -> set[tuple[str, str]]:
    async with asyncio.timeout(40):
        while len(found := told(settings, "start.wished")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return {(one.body["policy"], one.body["text"]) for one in found}


@pytest.mark.long
async def test_an_event_goes_the_routes_that_were_written_down_for_it(settings: Settings, client: Client) -> None:
    """All routes change while the audit is away, which has to take the event first."""
    audit = Path(settings.audit.get_secret_value().removeprefix("sqlite:///"))
    async with working(settings, client):
        audit.mkdir(parents=True)  # noqa: ASYNC240
        await put(settings, client, policy("moved", OTHER, NOW), 1)
        await put(settings, client, policy("turned", NOW), 1)
        await put(settings, client, policy("gone", NOW), 1)
        await RouterLine(client, settings.task_queue).tell([CloudEvent(id="1", source="test", type="now")])
        await asyncio.sleep(0.5)
        await asyncio.gather(
            put(settings, client, policy("moved", NOW), 2),
            put(settings, client, policy("turned", OTHER), 2),
            remove(settings, client, "gone"),
        )
        audit.rmdir()  # noqa: ASYNC240
        text = "event now: now 1 of test"
        assert await wished(settings, 3) == {("moved", text), ("turned", text), ("gone", text)}
        async with asyncio.timeout(20):
            while not (skipped := told(settings, "start.skipped")):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert [one.body["policy"] for one in skipped] == ["gone"]
    [received] = told(settings, "event.received")
    matched = {(one["policy"], one["trigger"], one["version"]) for one in received.body["matched"]}
    assert matched == {("moved", 1, 1), ("turned", 0, 1), ("gone", 0, 1)}


async def test_what_settles_when_the_routes_go_is_told_as_skipped(settings: Settings, client: Client) -> None:
    async with working(settings, client):
        await put(settings, client, policy("gone", "{event: {type: now, settle: 1h}}"), 1)
        await RouterLine(client, settings.task_queue).tell([CloudEvent(id="1", source="test", type="now")])
        async with asyncio.timeout(20):
            while not (await router_status(client, settings.task_queue)).bursts:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await remove(settings, client, "gone")
        await wished(settings, 1)
    log = AuditLog(settings.audit.get_secret_value())
    [shown] = find_event(log, "1")
    log.close()
    [start] = shown["starts"]
    assert start["state"] == "skipped"
    assert start["why"].startswith("the policy was removed, or starts for no event any more")


async def test_an_event_that_was_written_by_a_lost_task_goes_its_former_routes(
    settings: Settings, client: Client
) -> None:
    log, storage = AuditLog(settings.audit.get_secret_value()), open_storage(settings.storage)
    before, now = policy("drain", OTHER, NOW), policy("drain", NOW)
    storage.put_new(policy_place(before.policy.digest), before.policy.model_dump_json(by_alias=True).encode())
    events = Events(client, Audit(log), AppliedPolicies(Audit(log), storage), settings.task_queue)
    event = CloudEvent(id="1", source="test", type="now")
    old = Matched(policy="drain", trigger=1, version=1, digest=before.policy.digest)
    new = Matched(policy="drain", trigger=0, version=2, digest=now.policy.digest)
    [first] = await events.hear_events((ToldEvent(event=event, matched=(old,), token="t"),))
    [again] = await events.hear_events((ToldEvent(event=event, matched=(new,), token="t"),))
    log.close()
    assert (first.matched, first.former) == ((old,), ())
    assert again.matched == (old,)
    [table] = again.former
    assert [(route.trigger, route.type) for route in table.routes] == [(1, "now")]
