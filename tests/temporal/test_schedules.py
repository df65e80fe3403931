"""A schedule on a real engine starts its policy once; after an outage it catches up, or says what it missed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.audit import Audit
from activities.ledger.log import AuditLog
from activities.schedule_keeper import Keep, ScheduleKeeper, due
from activities.schedules import Found
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.engine import Engine, open_engine
from orchestrator.runs import run_report
from orchestrator.settings import Settings, load_settings
from orchestrator.start_records import start_records
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.machine import Process, temporal_process
from workflows.scheduled import ScheduledStart

TEXT = """
version: 1
name: {name}
site: london
triggers: [schedule: {{cron: "* * * * *", catch_up: {catch_up}}}]
select: {{from: {{space: projects}}}}
run: {{workflow: migrate}}
"""


def every_minute(name: str, catch_up: str) -> LoadedPolicy:
    return read_policy(TEXT.format(name=name, catch_up=catch_up).encode(), f"{name}.yaml")


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[Process]:
    server = temporal_process(tmp_path / "temporal")
    yield server
    server.stop()


@pytest.fixture
def settings(tmp_path: Path, temporal: Process, hub: LocalHub) -> Settings:
    return load_settings(
        state_dir=tmp_path / "state", temporal_address=temporal.address, hub_url=hub.url, hub_key=hub.key
    )


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    async with open_engine(settings) as opened:
        yield opened


async def until(moment: datetime) -> None:
    await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


async def records(settings: Settings, policy: str, wanted: int) -> list[dict[str, Any]]:
    """Wait until so many starts of a policy are told."""
    found: list[dict[str, Any]] = []
    for _ in range(200):
        found = start_records(settings, policy=policy, state=None, limit=100)
        if len(found) >= wanted:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(found)} starts of {policy} after 20 s, {wanted} are wanted: {found}")


async def test_a_start_during_an_outage_is_caught_up_once_or_told_as_missed(
    engine: Engine, settings: Settings, temporal: Process, hub: LocalHub
) -> None:
    hub.fill(3)
    patient, hasty = every_minute("patient", "6h"), every_minute("hasty", "10s")
    catalog = {"patient": patient, "hasty": hasty}
    if datetime.now(UTC).second > 50:
        await asyncio.sleep(12)
    difference = await engine.applying.difference(catalog)
    await engine.applying.apply(difference, catalog, actor="ann", reason="a test")
    applied = datetime.now(UTC)
    meant = applied.replace(second=0, microsecond=0) + timedelta(minutes=1)
    await until(meant - timedelta(seconds=2))
    temporal.kill()
    await until(meant + timedelta(seconds=16))
    temporal.start()
    async with working(settings, engine.client):
        [caught] = await records(settings, "patient", 1)
        assert (caught["state"], datetime.fromisoformat(caught["scheduled"])) == ("begun", meant)
        await run_report(engine.client, caught["run"])
        keeper = ScheduleKeeper(engine.client, Audit(engine.log), settings.task_queue, grace=timedelta(seconds=2))
        for _ in range(2):  # A second look finds nothing new.
            await ActivityEnvironment().run(keeper.keep_schedules, Keep(looked=None))
        [missed] = await records(settings, "hasty", 1)
        assert (missed["state"], datetime.fromisoformat(missed["scheduled"])) == ("missed", meant)
        assert "catch_up" in missed["why"]
        assert len(start_records(settings, policy="patient", state=None, limit=100)) == 1
    heard = [one.body["policy"] for one in engine.log.records(event="start.wished")]
    assert heard == ["patient"]
    assert AuditLog(settings.audit.get_secret_value()).verify().ok


class TestWhatIsDue:
    NIGHTLY = read_policy(
        TEXT.format(name="nightly", catch_up="6h").replace("* * * * *", "0 22 * * *").encode(), "nightly.yaml"
    ).policy

    def found(self, written: datetime, *, paused: bool = False) -> Found:
        start = ScheduledStart(policy=self.NIGHTLY, version=1, trigger=0)
        return Found("x", start, "d", written, None, paused, None, (), whole=True)

    def test_a_start_is_due_when_its_catch_up_is_over(self) -> None:
        found = self.found(datetime(2026, 11, 20, tzinfo=UTC))
        ten = datetime(2026, 11, 24, 22, tzinfo=UTC)
        before = [ten - timedelta(days=days) for days in (4, 3, 2, 1)]
        assert list(due(found, None, ten + timedelta(hours=6))) == before
        assert list(due(found, None, ten + timedelta(hours=6, minutes=3))) == [*before, ten]

    def test_a_look_goes_on_where_the_last_one_ended(self) -> None:
        found = self.found(datetime(2026, 11, 20, tzinfo=UTC))
        looks = [datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=37 * number) for number in range(400)]
        seen = [one for last, now in zip([None, *looks], looks, strict=False) for one in due(found, last, now)]
        assert seen == list(due(found, None, looks[-1]))
        assert len(seen) == 10

    def test_what_lies_before_the_schedule_was_written_is_not_its_own(self) -> None:
        found = self.found(datetime(2026, 11, 24, 22, 0, 1, tzinfo=UTC))
        assert list(due(found, None, datetime(2026, 11, 25, 12, tzinfo=UTC))) == []
