"""A backfill makes each start of the past once, and tries again what was skipped."""

import asyncio
from datetime import UTC, datetime

import pytest

from activities.audit import AuditRecord, Event
from activities.starting import start_key
from orchestrator.backfill import PastStart, make_starts, past_starts
from orchestrator.catalog import load_policy
from orchestrator.engine import Engine, open_engine
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from workflows.policy import Policy
from workflows.scheduled import ScheduledStart

TEXT = """
version: 1
name: nightly
site: london
triggers: [schedule: {cron: "0 22 * * *"}]
select: {from: {space: projects}}
run: {workflow: migrate}
"""


async def looked(engine: Engine, policy: Policy) -> PastStart:
    """Look until the desk has decided about the only start."""
    async with asyncio.timeout(30):
        while True:
            [past] = past_starts(engine, policy, datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
            if past.made_up not in (None, "waits for its turn"):
                return past
            await asyncio.sleep(0.1)


@pytest.mark.usefixtures("worker")
async def test_what_a_freeze_skipped_is_tried_again_and_what_began_is_not(settings: Settings, hub: LocalHub) -> None:
    hub.fill(1)
    policy = load_policy(TEXT.encode(), "nightly.yaml")
    async with open_engine(settings) as engine:
        [past] = past_starts(engine, policy, datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
        hold = engine.holds.put("freeze", actor="ann", reason="fire", key="1")
        await make_starts(engine, policy, 1, [past], actor="bob", reason="")
        skipped = await looked(engine, policy)
        assert str(skipped.made_up).startswith("skipped: ann froze all at ")
        assert skipped.key == f"{past.key}/2"
        engine.holds.lift(hold, actor="ann", reason="")
        await asyncio.gather(*(make_starts(engine, policy, 1, [skipped], actor="bob", reason="") for _ in range(3)))
        async with asyncio.timeout(30):
            while (began := await looked(engine, policy)).key is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        [record] = engine.log.records(event="start.begun")
        assert began.made_up == record.body["run"]
        assert await make_starts(engine, policy, 1, [began], actor="bob", reason="") == []


async def test_a_time_is_known_again_after_its_trigger_was_edited(settings: Settings) -> None:
    before, after = (
        load_policy(TEXT.replace('* * *"', f'* * *"{more}').encode(), "n") for more in ("", ", jitter: 1m")
    )
    since, until = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
    async with open_engine(settings) as engine:
        key = ScheduledStart(policy=before, version=1, trigger=0).key_at(datetime(2026, 11, 2, 22, tzinfo=UTC))
        body = {"policy": "nightly", "site": "london", "kind": "schedule", "text": "t", "scheduled": None}
        wished = {**body, "version": 1, "overlap": "skip"}
        engine.log.append(AuditRecord(event=Event.START_WISHED, actor="schedule", key=start_key(key), body=wished))
        begun = {**body, "run": "nightly-1", "waited_s": 0.0}
        key = start_key(key, "begun")
        engine.log.append(AuditRecord(event=Event.START_BEGUN, actor="schedule", key=key, body=begun))
        [past] = past_starts(engine, after, since, until)
        assert past.became == "nightly-1"
        [one] = past_starts(engine, before, since, until)
        assert one.key == past.key
