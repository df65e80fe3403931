"""An alert of the Hub starts a policy exactly once, wherever the follower dies."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.ledger.log import AuditLog
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.routes import router
from orchestrator.settings import Settings, load_settings
from orchestrator.temporal import connect
from tests.local_hub import LocalHub
from tests.machine import Process, eventually

POLICY = b"""\
version: 1
name: drain
site: london
triggers: [event: {type: hub.alert, where: {name: lowDiskSpace, severity: [warning, critical]}, settle: 0s}]
select:
  from: {space: projects}
  rules: [{name: away, match: {status: migrated}, keep: true}, {name: media, match: {type: [mov]}}]
run: {workflow: migrate}
"""


@pytest.fixture
def local_hub(tmp_path: Path) -> Iterator[LocalHub]:
    """Start a Hub that warns at a tenth of a pool of 4 MiB."""
    with LocalHub(tmp_path / "hub", "--capacity", "4MiB", "--low-space-mark", "10") as hub:
        yield hub


@pytest.fixture
def settings(worker: Process, tmp_path: Path, temporal: Process, local_hub: LocalHub) -> Settings:
    key = local_hub.state / "admin.key"
    return load_settings(
        state_dir=tmp_path / "worker", temporal_address=temporal.address, hub_url=local_hub.url, hub_key_file=key
    )


async def apply(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        catalog = {"drain": read_policy(POLICY, "drain")}
        await engine.applying.apply(await engine.applying.difference(catalog), catalog, actor="ann", reason="a test")


def attempts(settings: Settings) -> list[int]:
    """How often the activity that follows the Hub was begun."""

    async def ask() -> list[int]:
        client = await connect(settings)
        found = await router(client, settings.task_queue).describe()
        return [one.attempt for one in found.raw_description.pending_activities]

    return asyncio.run(ask())


def test_an_alert_starts_its_policy_once_when_the_follower_dies_before_its_cursor_is_stored(
    settings: Settings, worker: Process, local_hub: LocalHub
) -> None:
    log = AuditLog(settings.audit.get_secret_value())

    def told(event: str) -> list[str]:
        return [record.key for record in log.records(event=event)]

    asyncio.run(apply(settings))
    time.sleep(1)
    assert told("event.received") == []

    local_hub.fill(30, size=20_000)
    assert eventually(lambda: len(told("event.received")) == 1, within=40)
    worker.kill()
    worker.start()
    assert eventually(lambda: len(told("start.begun")) == 1, within=40)
    # The next attempt of the follower begins when the heartbeats of the first are missed; until then nothing is proved.
    assert eventually(lambda: (followers := attempts(settings)) and max(followers) > 1, within=40)
    time.sleep(2)
    assert len(told("event.received")) == len(told("start.wished")) == len(told("start.begun")) == 1
    log.close()
