"""A fire time that nobody was there to hear of within its catch-up window is told as missed, and starts nothing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, ScheduleBackfill, ScheduleOverlapPolicy

from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.settings import Settings
from orchestrator.start_records import start_records

TEXT = """
version: 1
name: hourly
site: london
triggers: [schedule: {cron: "0 * * * *", catch_up: 1h}]
select: {from: {space: projects}}
run: {workflow: migrate}
"""


@pytest.mark.usefixtures("worker")
async def test_a_start_that_no_worker_heard_of_in_time_is_missed(client: Client, settings: Settings) -> None:
    catalog = {"hourly": read_policy(TEXT.encode(), "hourly.yaml")}
    async with open_engine(settings) as engine:
        difference = await engine.applying.difference(catalog)
        await engine.applying.apply(difference, catalog, actor="ann", reason="a test")
        (wanted,) = engine.schedules.wanted(catalog["hourly"].policy, 1)
        # The engine fires for the hours of this morning now, as it does when workers come back after hours.
        now = datetime.now(UTC)
        window = ScheduleBackfill(now - timedelta(hours=4), now - timedelta(hours=2), ScheduleOverlapPolicy.ALLOW_ALL)
        await client.get_schedule_handle(wanted.id).backfill(window)
        for _ in range(200):
            found = start_records(settings, policy="hourly", state=None, limit=9)
            if len(found) >= 2:
                break
            await asyncio.sleep(0.1)
    assert {one["state"] for one in found} == {"missed"}
    assert found[0]["why"] == "nothing could start it within 1h of its time (catch_up)"
