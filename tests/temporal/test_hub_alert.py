"""An alert that the real local Hub raises starts a policy exactly once, however often its follower dies."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.hub_events import Follow, HubEvents
from activities.ledger.log import AuditLog
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.hub import open_hub
from orchestrator.routes import router
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from workflows.events import HUB_ALERT, HubCursor

SIGNALED = "workflow_execution_signaled_event_attributes"
POLICY = b"""\
version: 1
name: drain
site: london
triggers: [event: {type: hub.alert, where: {name: lowDiskSpace, severity: [warning, critical]}, settle: 0s}]
select: {from: {space: projects}, rules: [{name: media, match: {type: [mov]}}]}
run: {workflow: premigrate}
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """Start a Hub that warns at a tenth of a pool of 4 MiB."""
    with LocalHub(tmp_path / "hub", "--capacity", "4MiB", "--low-space-mark", "10") as running:
        yield running


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_an_alert_starts_its_policy_once_though_followers_die_before_their_cursor_is_stored(
    settings: Settings, client: Client, hub: LocalHub
) -> None:
    log = AuditLog(settings.audit.get_secret_value())

    async def told(event: str, count: int) -> list[str]:
        async with asyncio.timeout(30):
            while len(found := log.records(event=event)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return [record.key for record in found]

    async with open_engine(settings) as engine:
        catalog = {"drain": read_policy(POLICY, "drain")}
        await engine.applying.apply(await engine.applying.difference(catalog), catalog, actor="ann", reason="a test")
    hub.fill(30, size=20_000)
    await told("start.begun", 1)
    async with open_hub(settings) as opened:
        # What a worker leaves that dies: a follower of the first hour, which has told and stored nothing of it.
        for _ in range(3):
            follower = HubEvents(opened, client, settings.task_queue)
            begun = Follow(types=(HUB_ALERT,), cursor=HubCursor())
            task = asyncio.ensure_future(ActivityEnvironment().run(follower.follow_hub, begun))
            await asyncio.sleep(1.5)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    history = await router(client, settings.task_queue).fetch_history()
    tellings = [one for one in history.events if b"lowDiskSpace" in one.SerializeToString() and one.HasField(SIGNALED)]
    assert len(tellings) >= 4, "each of them told it once more"
    assert len(await told("event.received", 1)) == len(await told("start.wished", 1)) == 1
    assert len(await told("start.begun", 1)) == 1
    log.close()
