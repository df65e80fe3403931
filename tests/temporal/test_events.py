"""Events start runs, each once, over the real door, router, desk and Hub."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from temporalio.client import Client

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.settings import Settings
from orchestrator.web.app import application
from orchestrator.web.signature import signed_headers
from tests.local_hub import LocalHub

SECRET = b"a_secret_of_thirty-two_bytes_ok"
STRUCTURED = "application/cloudevents+json"
POLICY = """\
version: 1
name: {name}
site: london
triggers:
  - {trigger}
select:
  from: {{space: projects}}
  rules:
    - {{name: away, match: {{status: migrated}}, keep: true}}
    - {{name: media, match: {{type: [mov]}}}}
run: {{workflow: migrate}}
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"event_secrets": SecretStr(SECRET.decode())})


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        yield client


async def apply(settings: Settings, **triggers: str) -> None:
    catalog = {
        name: read_policy(POLICY.format(name=name, trigger=trigger).encode(), name)
        for name, trigger in triggers.items()
    }
    async with open_engine(settings) as engine:
        difference = await engine.applying.difference(catalog)
        await engine.applying.apply(difference, catalog, actor="ann", reason="a test")
        assert (await engine.applying.difference(catalog)).empty


def event(number: int, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"e{number}", "source": "test", "type": "disk.full", "data": data}


async def post(door: httpx.AsyncClient, told: Any, kind: str = STRUCTURED, **headers: str) -> httpx.Response:
    body = json.dumps(told).encode()
    return await door.post(
        "/events", content=body, headers={"content-type": kind, **signed_headers(SECRET, body), **headers}
    )


def kept(settings: Settings, kind: Event) -> list[Any]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return log.records(event=kind, limit=20_000) if log.is_there() else []
    finally:
        log.close()


async def seen(settings: Settings, kind: Event, count: int, within: float = 30) -> list[Any]:
    async with asyncio.timeout(within):
        while len(found := kept(settings, kind)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found


@pytest.mark.usefixtures("worker")
async def test_a_burst_of_equal_events_starts_one_run_that_names_them(
    settings: Settings, door: httpx.AsyncClient, hub: LocalHub
) -> None:
    hub.fill(3)
    await apply(settings, drain="event: {type: disk.full, where: {pool.name: [sas1, sas2]}, settle: 1s}")
    for number in (1, 2, 2, 3):
        assert (await post(door, event(number, pool={"name": "sas1"}))).json() == {"accepted": 1}
    begun = await seen(settings, Event.START_BEGUN, 1)
    await asyncio.sleep(2)
    assert len(kept(settings, Event.START_BEGUN)) == 1
    assert begun[0].body["text"].endswith("disk.full e1 of test and 2 more")
    matched = [one.body["matched"] for one in kept(settings, Event.EVENT_RECEIVED)]
    assert [[{word: each[word] for word in ("policy", "trigger")} for each in one] for one in matched] == [
        [{"policy": "drain", "trigger": 0}]
    ] * 3


@pytest.mark.usefixtures("worker")
async def test_an_event_that_nothing_wants_is_kept(settings: Settings, door: httpx.AsyncClient) -> None:
    await apply(settings, drain="event: {type: disk.full, where: {pool: sas1}, settle: 0s}")
    await post(door, event(1, pool="other"))
    assert (await seen(settings, Event.EVENT_RECEIVED, 1))[0].body["matched"] == []
    assert kept(settings, Event.START_WISHED) == []


@pytest.mark.usefixtures("worker")
async def test_the_end_of_a_run_starts_the_next_policy(
    settings: Settings, door: httpx.AsyncClient, hub: LocalHub
) -> None:
    hub.fill(3)
    await apply(
        settings, first="event: {type: disk.full, settle: 0s}", second="after: {policy: first, state: succeeded}"
    )
    await post(door, event(1))
    begun = await seen(settings, Event.START_BEGUN, 2)
    assert [one.body["policy"] for one in begun] == ["first", "second"]
    assert begun[1].body["text"].startswith("after first succeeded: orchestrator.run first-")


async def test_what_a_storm_delivers_is_handled_once_and_a_worker_that_comes_later_loses_nothing(
    settings: Settings, door: httpx.AsyncClient, client: Client
) -> None:
    from orchestrator.worker import working

    deliveries = [event(number, n=number) for number in range(100)] * 5
    random.Random(1).shuffle(deliveries)

    async def deliver(some: list[dict[str, Any]]) -> None:
        for one in some:
            assert (await post(door, one)).status_code == 202

    async with working(settings, client):
        await asyncio.gather(*(deliver(deliveries[lane:250:8]) for lane in range(8)))
    await asyncio.gather(*(deliver(deliveries[250 + lane :: 8]) for lane in range(8)))
    async with working(settings, client):
        await seen(settings, Event.EVENT_RECEIVED, 100)
        await asyncio.sleep(1)
    assert sorted(one.body["data"]["n"] for one in kept(settings, Event.EVENT_RECEIVED)) == list(range(100))


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_a_finished_job_of_the_hub_is_an_event(settings: Settings, hub: LocalHub) -> None:
    await apply(settings, drain="event: {type: hub.job, where: {workflow: premigrate}, settle: 0s}")
    await asyncio.sleep(3)
    paths = [{"path": "/mmfs1/projects/a/f00000.mov"}]
    hub.fill(1)
    hub.call("POST", "/api/file/workflow/", json={"site": "london", "workflow": "premigrate", "paths": paths})
    begun = await seen(settings, Event.START_BEGUN, 1)
    assert "hub.job" in begun[0].body["text"]
