"""The router under a flood: fresh histories in its midst, senders that are sent back, and nothing lost or doubled."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from temporalio.client import Client

from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.router_line import RouterBusy, RouterLine
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.routes import router, router_status
from orchestrator.services import free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import temporal_service
from orchestrator.web.app import application
from orchestrator.web.signature import signed_headers
from orchestrator.worker import working
from workflows.events import CloudEvent
from workflows.ids import router_id

SECRET = b"a_secret_of_thirty-two_bytes_ok"
POLICY = b"""\
version: 1
name: drain
site: london
triggers: [event: {type: disk.full, settle: 1s}]
select: {from: {space: projects}, rules: [{name: media, match: {type: [mov]}}]}
run: {workflow: migrate}
"""


@pytest.fixture(scope="module")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server that suggests a fresh history after every hundred events."""
    folder, port = tmp_path_factory.mktemp("temporal"), free_port()
    service = temporal_service(load_settings(state_dir=folder), port, folder / "temporal.log")
    service.command += ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=100"]
    service.start()
    try:
        service.wait_until_ready()
        yield f"127.0.0.1:{port}"
    finally:
        service.stop()


def event(number: int, size: int = 0) -> CloudEvent:
    return CloudEvent(id=f"e{number}", source="test", type="disk.full", data="x" * size)


def told(settings: Settings, what: str) -> list[Stored]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return log.records(event=what, limit=20_000)
    finally:
        log.close()


async def heard(settings: Settings, client: Client, count: int) -> list[Stored]:
    async with asyncio.timeout(40):
        while len(found := told(settings, "event.received")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while (status := await router_status(client, settings.task_queue)).waiting or status.bursts:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return found


@pytest.mark.long
async def test_fresh_histories_in_the_midst_of_bursts_lose_nothing_and_double_nothing(
    settings: Settings, client: Client
) -> None:
    numbers = iter([number for number in range(300) for _ in range(2)])

    async def pour(line: RouterLine) -> None:
        for number in numbers:
            await line.tell([event(number)])

    async with working(settings, client):
        async with open_engine(settings) as engine:
            catalog = {"drain": read_policy(POLICY, "drain")}
            await engine.applying.apply(
                await engine.applying.difference(catalog), catalog, actor="ann", reason="a test"
            )
        await asyncio.gather(*(pour(RouterLine(client, settings.task_queue)) for _ in range(8)))
        kept = await heard(settings, client, 300)
    histories = [one async for one in client.list_workflows(f"WorkflowId = '{router_id(settings.task_queue)}'")]
    assert len(histories) > 2
    assert len({record.key for record in kept}) == len(kept) == 300
    started = 0
    for wished in told(settings, "start.wished"):
        more = re.search(r" and (\d+) more$", wished.body["text"])
        started += 1 + (int(more[1]) if more else 0)
    assert started == 300, "every event is counted by exactly one start"


async def test_more_than_may_wait_is_sent_back_until_a_worker_has_made_room(settings: Settings, client: Client) -> None:
    settings = settings.model_copy(update={"event_secrets": SecretStr(SECRET.decode())})
    line, taken = RouterLine(client, settings.task_queue), 0
    with pytest.raises(RouterBusy):
        for number in range(0, 2_000, 8):
            await line.tell([event(one, 60_000) for one in range(number, number + 8)])
            taken += 8
    assert 8 << 20 <= taken * 61_000 < 12 << 20

    transport = httpx.ASGITransport(application(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as door:
        body = json.dumps({"specversion": "1.0", "id": "late", "source": "test", "type": "disk.full"}).encode()

        async def post() -> httpx.Response:
            headers = {"content-type": "application/cloudevents+json", **signed_headers(SECRET, body)}
            return await door.post("/events", content=body, headers=headers)

        await post()  # A door that has just come learns by its first message how much waits.
        answer = await post()
        assert (answer.status_code, answer.json()["title"], answer.headers["retry-after"]) == (503, "Busy", "5")
        async with working(settings, client):
            kept = await heard(settings, client, taken + 1)
            await asyncio.sleep(0.6)
            assert (await post()).status_code == 202
            await line.tell([event(10_000)])
            await heard(settings, client, taken + 2)
    assert {record.body["id"] for record in kept} == {f"e{number}" for number in range(taken)} | {"late"}


@pytest.mark.long
async def test_a_router_whose_audit_was_away_goes_on_without_a_long_history(
    settings: Settings, client: Client, tmp_path: Path
) -> None:
    """The database's place is taken by a folder for longer than a local activity is tried."""
    audit = Path(settings.audit.get_secret_value().removeprefix("sqlite:///"))
    async with working(settings, client):
        audit.mkdir(parents=True)  # noqa: ASYNC240
        await RouterLine(client, settings.task_queue).tell([event(1)])
        await asyncio.sleep(7)
        found = await router(client, settings.task_queue).describe()
        assert found.history_length < 20
        audit.rmdir()  # noqa: ASYNC240
        assert [record.body["id"] for record in await heard(settings, client, 1)] == ["e1"]
