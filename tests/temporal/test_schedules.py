"""The Schedules of ours on a real engine: what the keeper tells of them, and how one takes the place of another."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import schedules
from activities.audit import Audit
from activities.cut_off import MOST_CUT_OFF, cut_off
from activities.schedule_form import NOT_YET
from activities.schedule_keeper import Keep, ScheduleKeeper, due, held_back
from activities.schedules import Found
from orchestrator.applied import Schedules, Wanted
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.engine import Engine, open_engine
from orchestrator.settings import Settings, load_settings
from orchestrator.start_records import start_records
from tests.local_hub import LocalHub
from tests.machine import Process, temporal_process
from workflows.ids import fired_id
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


async def look(engine: Engine, looked: datetime | None = None) -> None:
    await ActivityEnvironment().run(a_keeper(engine, timedelta(0)).keep_schedules, Keep(looked=looked))


def a_keeper(engine: Engine, grace: timedelta) -> ScheduleKeeper:
    return ScheduleKeeper(engine.client, Audit(engine.log), engine.holds, engine.settings.task_queue, grace=grace)


async def written(engine: Engine, wanted: LoadedPolicy, version: int, at: datetime) -> ScheduledStart:
    start = ScheduledStart(policy=wanted.policy, version=version, trigger=0)
    there = await schedules.find_one(engine.client, start.id_in(engine.settings.task_queue))
    seen = None if there is None else there.digest
    await schedules.put(engine.client, start, engine.settings.task_queue, at, seen=seen)
    return start


async def test_starts_that_a_change_cut_off_are_told_as_missed_once(engine: Engine, settings: Settings) -> None:
    """The engine makes nothing from before a change: a Schedule that was away for minutes has starts to catch up."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = every_minute("cut", "6h")
    await written(engine, wanted, 1, now - timedelta(minutes=4, seconds=30))
    await written(engine, wanted, 2, now - timedelta(minutes=1, seconds=30))
    await written(engine, wanted, 3, now - timedelta(seconds=20))
    for _ in range(2):
        await look(engine)
    found = start_records(settings, policy="cut", state=None, limit=100)
    times = [now - timedelta(minutes=number) for number in (4, 3, 2, 1)]
    assert sorted(datetime.fromisoformat(one["scheduled"]) for one in found) == times
    assert {one["state"] for one in found} == {"missed"}
    assert all("written anew" in one["why"] for one in found)


async def test_what_the_engine_has_started_before_a_change_is_not_told_as_missed(
    engine: Engine, settings: Settings
) -> None:
    """No worker has heard of it yet, and it will be heard."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = every_minute("made", "6h")
    start = await written(engine, wanted, 1, now - timedelta(minutes=2, seconds=30))
    fired = fired_id(start.fire_in(settings.task_queue), now - timedelta(minutes=1))
    await engine.client.start_workflow("Fire", start, id=fired, task_queue=settings.task_queue)
    await written(engine, wanted, 2, now - timedelta(seconds=20))
    await look(engine)
    [missed] = start_records(settings, policy="made", state=None, limit=100)
    assert datetime.fromisoformat(missed["scheduled"]) == now - timedelta(minutes=2)


async def applied(engine: Engine, wanted: LoadedPolicy) -> None:
    catalog = {wanted.policy.name: wanted}
    await engine.applying.apply(await engine.applying.difference(catalog), catalog, actor="ann", reason="a test")


async def every(engine: Engine) -> list[Found]:
    known = [one.id for policy in engine.versions.latest() for one in await all_of(engine, policy)]
    return [one async for one in schedules.find(engine.client, engine.settings.task_queue, known)]


async def all_of(engine: Engine, policy: str) -> list[Wanted]:
    made = Schedules(engine.client, engine.settings.task_queue)
    versions = [engine.versions.policy(one) for one in engine.versions.history(policy)]
    return [wanted for each in versions for wanted in made.wanted(each, 0)]


@pytest.mark.parametrize("who", ["the keeper", "the next apply"])
async def test_of_a_schedule_and_the_one_that_takes_its_place_one_alone_is_awake(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """An apply that dies between the two leaves the old one awake; the keeper, or the next apply, does the rest."""
    await applied(engine, every_minute("half", "1h"))

    async def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(schedules, "remove", dies)
        with pytest.raises(RuntimeError):
            await applied(engine, edited := every_minute("half", "2h"))
    old, new = sorted(await every(engine), key=lambda one: one.start.version if one.start else 0)
    assert (old.paused, new.paused, new.note) == (False, True, NOT_YET)
    [change] = (await engine.applying.difference({"half": edited})).changes
    assert [part.why for part in change.parts if part.wanted] == ["an apply stopped before it had its place"]
    await (look(engine) if who == "the keeper" else applied(engine, edited))
    [left] = await every(engine)
    assert (left.id, left.paused, left.whole) == (new.id, False, True)
    assert (await engine.applying.difference({"half": edited})).empty


async def test_a_begin_that_never_came_is_made_up_by_the_keeper(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await applied(engine, every_minute("half", "1h"))

    async def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(schedules, "_begin", dies)
        with pytest.raises(RuntimeError):
            await applied(engine, every_minute("half", "2h"))
    assert [one.waits for one in await every(engine)] == [True]
    await look(engine)
    assert [one.paused for one in await every(engine)] == [False]


async def test_a_start_that_fell_into_a_pause_names_who_had_paused_it(engine: Engine, settings: Settings) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    wanted = every_minute("paused", "10s")
    start = await written(engine, wanted, 1, now - timedelta(minutes=2, seconds=30))
    hold = engine.holds.put("pause", actor="bob", reason="look first", key="k", policy="paused")
    held = (replace(hold, since=now - timedelta(minutes=1, seconds=30)), now - timedelta(seconds=30))
    there = await schedules.find_one(engine.client, start.id_in(settings.task_queue))
    assert there is not None
    assert held_back(there, [held], now - timedelta(minutes=2)) is None
    assert str(held_back(there, [held], now - timedelta(minutes=1))).startswith("bob paused policy paused at ")
    assert "; that ended at " in str(held_back(there, [held], now - timedelta(minutes=1)))
    await schedules.set_paused(engine.client, there.id, True, "by hand")
    await look(engine)
    found = start_records(settings, policy="paused", state="missed", limit=100)
    assert {one["why"] for one in found} == {"its schedule is paused: by hand"}


async def test_two_schedules_of_a_policy_at_one_moment_mean_one_start() -> None:
    both = read_policy(TWO.encode(), "two.yaml").policy
    meant = datetime(2026, 11, 20, 22, tzinfo=UTC)
    assert len({ScheduledStart(policy=both, version=1, trigger=number).key_at(meant) for number in (0, 1)}) == 1
    written = datetime(2026, 11, 19, 12, tzinfo=UTC)

    def missed(trigger: int, now: datetime) -> list[datetime]:
        start = ScheduledStart(policy=both, version=1, trigger=trigger)
        return list(due(Found("x", start, "d", written, None, False, None, (), whole=True), None, now))

    # On Friday both mean it: the patient one may still make it, and so the hasty one does not say it is missed.
    assert missed(0, meant + timedelta(hours=1)) == [meant - timedelta(days=1)]
    assert missed(1, meant + timedelta(hours=1)) == []
    assert missed(1, meant + timedelta(hours=7)) == [meant]


TWO = TEXT.format(name="two", catch_up="10s").replace(
    '[schedule: {cron: "* * * * *", catch_up: 10s}]',
    '[schedule: {cron: "0 22 * * *", catch_up: 10s}, schedule: {cron: "0 22 * * 5", catch_up: 6h}]',
)


class TestWhatIsCutOff:
    START = ScheduledStart(policy=every_minute("cut", "6h").policy, version=1, trigger=0)
    NOW = datetime(2026, 11, 24, 22, 0, 30, tzinfo=UTC)

    def times(self, **how: Any) -> list[str]:
        given = {"written": self.NOW - timedelta(minutes=3), "last": None, "now": self.NOW, **how}
        return [f"{one:%H:%M}" for each in cut_off(self.START, "fire", **given) for one in each.times]

    def test_it_is_what_has_come_since_the_schedule_was_written(self) -> None:
        assert self.times() == ["21:58", "21:59", "22:00"]

    def test_what_precedes_the_last_start_of_the_engine_was_made(self) -> None:
        assert self.times(last=datetime(2026, 11, 24, 21, 59, tzinfo=UTC)) == ["22:00"]
        assert self.times(last=datetime(2026, 11, 24, 22, 0, tzinfo=UTC)) == []

    def test_it_is_bounded_however_long_the_engine_was_away(self) -> None:
        assert len(self.times(written=self.NOW - timedelta(days=9))) == MOST_CUT_OFF

    def test_it_is_judged_once_the_engine_cannot_make_it_any_more(self) -> None:
        [one] = cut_off(self.START, "fire", self.NOW - timedelta(minutes=1), None, self.NOW)
        grace = timedelta(minutes=2)
        assert list(one.settled(None, self.NOW, grace)) == []
        judged = list(one.settled(self.NOW, self.NOW + grace, grace))
        assert [f"{each:%H:%M}" for each in judged] == ["22:00"]
        assert list(one.settled(self.NOW + grace, self.NOW + 2 * grace, grace)) == []


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
