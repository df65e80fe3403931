"""The engine itself fires when the documentation says: its own listing of real Schedules with our calendars."""

import asyncio
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.calendars import Calendars, calendars
from activities.engine_times import differences, engine_fire_times
from activities.fire_times import fire_times
from orchestrator.settings import load_settings
from orchestrator.temporal import connect
from tests.documented_times import CRONS, DSTS, SPANS, Span, documented_times, span
from workflows.triggers import Schedule as ScheduleTrigger

AT_ONCE = 4


@pytest.fixture
async def engine(temporal_address: str, tmp_path: Path) -> Client:
    return await connect(load_settings(state_dir=tmp_path, temporal_address=temporal_address))


@pytest.mark.parametrize(("zone", "first"), SPANS)
async def test_the_engine_fires_40_expressions_for_two_years_when_the_documentation_says(
    engine: Client, zone: str, first: str
) -> None:
    where, slots = span(zone, first), asyncio.Semaphore(AT_ONCE)

    async def compare(number: int, trigger: ScheduleTrigger) -> int:
        async with slots:
            listed = await renewed_and_listed(engine, f"{zone.replace('/', '-')}-{number}", trigger, where)
        ours = [one.at for one in fire_times(trigger, where.after, where.until)]
        expected = documented_times(where, trigger.cron, trigger.dst)
        assert listed == expected == ours, (trigger.cron, zone, [*differences(expected, listed)][:5])
        return len(listed)

    triggers = [ScheduleTrigger(cron=cron, timezone=zone, dst=dst) for cron, dst in zip(CRONS, cycle(DSTS))]
    counts = await asyncio.gather(*(compare(number, trigger) for number, trigger in enumerate(triggers)))
    assert (len(counts), sum(counts) > 60_000) == (40, True)


async def renewed_and_listed(engine: Client, name: str, trigger: ScheduleTrigger, where: Span) -> list[datetime]:
    """Give the engine the calendars of one horizon after the other, as they are renewed, and list each one's times."""
    listed: list[datetime] = []
    found = calendars(trigger, where.after)
    handle = await engine.create_schedule(name, paused(found))
    while True:
        until = min(found.until or where.until, where.until)
        listed += await engine_fire_times(engine, name, found.start, until)
        if until == where.until:
            await handle.delete()
            return listed
        found = calendars(trigger, until)
        await renew(handle, found)


async def renew(handle: ScheduleHandle, found: Calendars) -> None:
    await handle.update(lambda _: ScheduleUpdate(paused(found)))


def paused(found: Calendars, jitter: timedelta | None = None) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow("Nothing", id="nothing", task_queue="nobody"),
        spec=ScheduleSpec(calendars=found.specs, jitter=jitter),
        state=ScheduleState(paused=True),
    )


async def test_a_jitter_moves_the_engines_times_within_its_length_and_no_further(engine: Client) -> None:
    where, jitter = span("Europe/London", "2026-01-01"), timedelta(minutes=5)
    trigger = ScheduleTrigger(cron="30 1 * * *", timezone=where.zone, jitter=jitter)
    found = calendars(trigger, where.after)
    assert found.until is not None
    handle = await engine.create_schedule("with-jitter", paused(found, jitter))
    listed = await engine_fire_times(engine, "with-jitter", where.after, found.until)
    ours = [one.at for one in fire_times(trigger, where.after, found.until)]
    assert len(listed) == 400
    assert listed != ours
    assert list(differences(ours, listed, jitter)) == []
    await handle.delete()


async def test_a_schedule_that_the_engine_does_not_have_is_said_as_such(engine: Client) -> None:
    where = span("Europe/London", "2026-01-01")
    with pytest.raises(RPCError) as refused:
        await engine_fire_times(engine, "no-such-schedule", where.after, where.until)
    assert refused.value.status is RPCStatusCode.NOT_FOUND


async def test_a_limit_ends_the_listing(engine: Client) -> None:
    where = span("Europe/London", "2026-01-01")
    found = calendars(ScheduleTrigger(cron="*/15 * * * *"), where.after)
    handle = await engine.create_schedule("limited", paused(found))
    listed = await engine_fire_times(engine, "limited", where.after, where.until, limit=2500)
    assert listed == [where.after + timedelta(minutes=15) * number for number in range(1, 2501)]
    await handle.delete()
