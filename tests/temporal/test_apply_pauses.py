"""An operator's pause outlasts every apply and stays with its trigger, or the difference says that it goes."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from temporalio.client import Client, Schedule, ScheduleUpdate, ScheduleUpdateInput

from activities import schedules
from activities.schedule_form import schedule_of
from activities.schedules import Meanwhile
from orchestrator.applied import Putting, There
from orchestrator.applying import Action, ApplyError, Difference
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.cli.apply_screen import document
from orchestrator.engine import Engine, open_engine
from orchestrator.settings import Settings, load_settings
from workflows.scheduled import ScheduledStart

TEXT = """
version: 1
name: nightly
sites: [{sites}]
triggers: [{triggers}]
select: {{from: {{space: projects}}}}
run: {{workflow: migrate}}
"""
NIGHT, SATURDAY, NOON = "0 22 * * 1-5", "0 3 * * 6", "0 12 * * *"


def a(cron: str, more: str = "") -> str:
    return f'schedule: {{cron: "{cron}", timezone: Europe/London{more}}}'


def catalog(*triggers: str, sites: str = "london") -> dict[str, LoadedPolicy]:
    text = TEXT.format(sites=sites, triggers=", ".join(f"{{{trigger}}}" for trigger in triggers))
    return {"nightly": read_policy(text.encode(), "nightly.yaml")}


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, temporal_address: str) -> Settings:
    folder = tmp_path_factory.mktemp("pauses")
    return load_settings(state_dir=folder, temporal_address=temporal_address, task_queue=f"pauses-{folder.name}")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    async with open_engine(settings) as opened:
        yield opened


async def applied(engine: Engine, wanted: dict[str, LoadedPolicy], *, prune: bool = False) -> Difference:
    difference = await engine.applying.difference(wanted, prune=prune)
    await engine.applying.apply(difference, wanted, actor="ann", reason="a test")
    return difference


async def there(engine: Engine, *policies: dict[str, LoadedPolicy]) -> list[There]:
    """Give all Schedules, those of these policies also where they are too new for a list."""
    known = [one.id for each in policies for one in engine.schedules.wanted(each["nightly"].policy, 1)]
    return await engine.schedules.there(known)


async def pause(engine: Engine, wanted: dict[str, LoadedPolicy], cron: str, note: str, site: str = "london") -> str:
    [one] = [one for one in await there(engine, wanted) if f" {cron} " in one.text and one.site == site]
    await schedules.set_paused(engine.client, one.id, True, note)
    return one.id


async def pauses(engine: Engine, *policies: dict[str, LoadedPolicy]) -> dict[str, str | None]:
    return {one.text: one.note for one in await there(engine, *policies) if one.paused}


def said(cron: str, site: str = "london") -> str:
    return f"schedule {cron} Europe/London at {site}"


async def test_a_pause_stays_with_its_trigger_when_another_one_is_taken_out(engine: Engine) -> None:
    await applied(engine, both := catalog(a(NIGHT), a(SATURDAY)))
    await pause(engine, both, SATURDAY, "dangerous")
    change = await applied(engine, rest := catalog(a(SATURDAY)))
    assert [(str(one.action), one.text, one.lost) for one in change.changes[0].parts] == [
        ("change", said(SATURDAY), False), ("remove", said(NIGHT), False)
    ]  # fmt: skip
    assert await pauses(engine, both, rest) == {said(SATURDAY): "dangerous"}


async def test_a_pause_stays_with_its_trigger_when_triggers_are_moved(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), a(SATURDAY), a(NOON)))
    await pause(engine, first, NOON, "lunch")
    before = {one.id for one in await there(engine, first)}
    await applied(engine, moved := catalog(a(NOON), a(NIGHT), a(SATURDAY)))
    assert {one.id for one in await there(engine, first, moved)} == before
    assert await pauses(engine, first, moved) == {said(NOON): "lunch"}
    assert (await engine.applying.difference(moved)).empty


async def test_an_edited_trigger_keeps_its_pause_and_says_what_it_takes_the_place_of(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), a(SATURDAY)))
    await pause(engine, first, NIGHT, "lunch")
    change = await applied(engine, edited := catalog(a(NOON), a(SATURDAY)))
    part = change.changes[0].parts[0]
    assert (part.action, part.why) == (Action.CHANGE, f"instead of {said(NIGHT)}")
    assert await pauses(engine, first, edited) == {said(NOON): "lunch"}
    assert len(await there(engine, first, edited)) == 2


async def test_triggers_of_the_same_words_keep_their_pauses_when_all_are_edited(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), a(SATURDAY), a(NOON)))
    await pause(engine, first, NIGHT, "one")
    await pause(engine, first, NOON, "two")
    edited = catalog(*(a(cron, ", catch_up: 6h") for cron in (NOON, SATURDAY, NIGHT)))
    await applied(engine, edited)
    assert await pauses(engine, first, edited) == {said(NIGHT): "one", said(NOON): "two"}


async def test_where_it_is_not_clear_which_trigger_was_edited_a_lost_pause_is_said(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), a(SATURDAY)))
    await pause(engine, first, NIGHT, "lunch")
    change = await applied(engine, other := catalog(a(NOON), a("0 6 * * *")))
    lost = [one for one in change.changes[0].parts if one.lost]
    assert [(one.action, one.text) for one in lost] == [(Action.REMOVE, said(NIGHT))]
    [shown] = [one for one in document(change)["policies"][0]["parts"] if one["pause"] == "lost"]
    assert shown["note"] == "lunch"
    assert await pauses(engine, first, other) == {}


async def test_a_pause_does_not_move_to_another_site(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), sites="london"))
    await pause(engine, first, NIGHT, "lunch")
    change = await applied(engine, moved := catalog(a(NIGHT), sites="paris"))
    assert [one.lost for one in change.changes[0].parts] == [False, True]
    assert await pauses(engine, first, moved) == {}


async def test_a_schedule_with_an_id_of_before_is_replaced_with_its_pause(engine: Engine, client: Client) -> None:
    wanted = catalog(a(NIGHT), a(SATURDAY))
    old = [f"{engine.settings.task_queue}/schedule/nightly/london/{number}" for number in (0, 1)]
    for number, name in enumerate(old):
        start = ScheduledStart(policy=wanted["nightly"].policy.at("london"), version=1, trigger=number)
        await client.create_schedule(name, schedule_of(start, engine.settings.task_queue, datetime.now(UTC)))
    await schedules.set_paused(client, old[1], True, "lunch")
    engine.versions.add(wanted["nightly"], 1, actor="ann", reason="")
    for _ in range(100):  # Only the engine's list knows these ids, in a while.
        if len(await engine.schedules.there()) == 2:
            break
        await asyncio.sleep(0.1)
    change = await applied(engine, wanted)
    assert [(one.action, one.why) for one in change.changes[0].parts] == [(Action.CHANGE, "")] * 2
    assert await pauses(engine, wanted) == {said(SATURDAY): "lunch"}
    assert not {one.id for one in await there(engine, wanted)} & set(old)


class Between:
    """Does something between the engine's description of a Schedule and the next update of it, so many times."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch, name: str, times: int = 1) -> None:
        self.left = times
        service, handle = client.workflow_service, client.get_schedule_handle(name)
        update = service.update_schedule

        async def late(request: object, **how: object) -> object:
            if self.left:
                self.left -= 1
                await handle.pause(note=f"bob {self.left}")
            return await update(request, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(service, "update_schedule", late)


async def test_a_pause_between_the_look_and_the_write_is_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    [one] = await there(engine, first)
    between = Between(engine.client, monkeypatch, one.id)
    wanted = engine.schedules.wanted(first["nightly"].policy, 2)[0]
    await engine.schedules.put(wanted, Putting(one))
    assert between.left == 0
    [now] = await there(engine, first)
    assert (now.paused, now.note, now.digest) == (True, "bob 0", wanted.digest)


async def test_a_schedule_that_never_stands_still_is_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    [one] = await there(engine, first)
    Between(engine.client, monkeypatch, one.id, times=99)
    with pytest.raises(Meanwhile, match="changed by others again and again"):
        await engine.schedules.put(engine.schedules.wanted(first["nightly"].policy, 2)[0], Putting(one))


async def test_a_pause_of_the_old_one_at_the_last_moment_goes_over_to_the_new_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    [old] = await there(engine, first)
    create = engine.client.create_schedule

    async def late(*given: object, **how: object) -> object:
        made = await create(*given, **how)  # type: ignore[arg-type]
        await schedules.set_paused(engine.client, old.id, True, "bob")
        return made

    edited = catalog(a(NOON))
    difference = await engine.applying.difference(edited)
    monkeypatch.setattr(engine.client, "create_schedule", late)
    await engine.applying.apply(difference, edited, actor="ann", reason="")
    assert await pauses(engine, first, edited) == {said(NOON): "bob"}


async def test_renewing_does_not_bring_back_what_an_apply_has_just_changed(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    [one] = await there(engine, first)
    stale = await schedules.find_one(engine.client, one.id)
    assert stale is not None
    assert stale.until is not None
    await applied(engine, changed := catalog(a(NIGHT), a(NOON)))  # The same Schedule, of version 2.
    later = stale.until - schedules.RENEW_WITHIN / 2
    assert await schedules.renew(engine.client, engine.settings.task_queue, stale, later) is not None
    again = await schedules.find_one(engine.client, one.id)
    assert again is not None
    assert again.start is not None
    assert again.start.version == 2
    assert (await engine.applying.difference(changed)).empty


async def test_a_schedule_that_somebody_else_wrote_after_the_look_is_not_overwritten(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    [seen] = await there(engine, first)
    policy = first["nightly"].policy
    await engine.schedules.put(engine.schedules.wanted(policy, 3)[0], Putting(seen))
    with pytest.raises(Meanwhile, match="written by somebody else"):
        await engine.schedules.put(engine.schedules.wanted(policy, 2)[0], Putting(seen))


async def test_two_applies_at_once_end_as_one_of_them_and_the_other_one_is_told(engine: Engine) -> None:
    await applied(engine, catalog(a(NIGHT)))
    ours, theirs = catalog(a(NIGHT), a(NOON)), catalog(a(NIGHT), a(SATURDAY))
    shown = [await engine.applying.difference(one) for one in (ours, theirs)]
    ended = await asyncio.gather(
        engine.applying.apply(shown[0], ours, actor="ann", reason=""),
        engine.applying.apply(shown[1], theirs, actor="bob", reason=""),
        return_exceptions=True,
    )
    assert [type(one) for one in ended if one is not None] == [ApplyError]
    won = ours if ended[0] is None else theirs
    assert (await engine.applying.difference(won)).empty


async def test_two_that_mend_the_same_drift_at_once_mend_it(engine: Engine) -> None:
    await applied(engine, wanted := catalog(a(NIGHT), a(NOON)))
    for one in await there(engine, wanted):
        await engine.client.get_schedule_handle(one.id).update(_at_noon)
    shown = await engine.applying.difference(wanted)
    assert not shown.empty
    await asyncio.gather(*(engine.applying.apply(shown, wanted, actor=who, reason="") for who in ("ann", "bob")))
    assert (await engine.applying.difference(wanted)).empty


def _at_noon(given: ScheduleUpdateInput) -> ScheduleUpdate:
    schedule = given.description.schedule
    return ScheduleUpdate(replace(schedule, spec=replace(schedule.spec, calendars=schedule.spec.calendars[:1])))


async def test_what_a_paused_policy_gets_anew_begins_paused_and_is_shown_so(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT)))
    hold = engine.holds.put("pause", actor="ann", reason="moving house", key="1", policy="nightly")
    change = await applied(engine, more := catalog(a(NIGHT), a(NOON)))
    assert change.changes[0].holds == (hold,)
    [shown] = [one for one in document(change)["policies"][0]["parts"] if one["pause"] == "new"]
    assert (shown["text"], shown["note"]) == (said(NOON), "ann: moving house")
    assert await pauses(engine, first, more) == {said(NOON): "ann: moving house"}


async def test_a_pause_of_the_whole_policy_is_not_called_lost_with_one_of_its_triggers(engine: Engine) -> None:
    await applied(engine, first := catalog(a(NIGHT), a(NOON)))
    engine.holds.put("pause", actor="ann", reason="lunch", key="1", policy="nightly")
    await pause(engine, first, NIGHT, "ann: lunch")
    change = await engine.applying.difference(catalog(a(NOON)))
    assert {one["pause"] for one in document(change)["policies"][0]["parts"]} == {None}


async def test_what_a_freeze_covers_begins_as_ever_and_is_shown_as_held(engine: Engine) -> None:
    hold = engine.holds.put("freeze", actor="ann", reason="a leak", key="1", site="london")
    change = await applied(engine, first := catalog(a(NIGHT)))
    assert document(change)["policies"][0]["held"] == [str(hold)]
    assert await pauses(engine, first) == {}, "a thaw could not tell it from an operator's pause"


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_edited_and_paused_no_pause_is_lost_without_a_word(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    foreign = f"{engine.settings.task_queue}-other/schedule/nightly/london/0"
    await engine.client.create_schedule(foreign, _somebody_elses(catalog(a(NIGHT))))
    untouched = (await engine.client.get_schedule_handle(foreign).describe()).raw_description.schedule
    triggers = [(NIGHT, ""), (SATURDAY, ""), (NOON, "")]
    history = [catalog(*(a(*one) for one in triggers))]
    await applied(engine, history[0])
    for step in range(5):
        live = await there(engine, *history)
        for one in chance.sample(live, chance.randint(0, min(2, len(live)))):
            await schedules.set_paused(engine.client, one.id, not one.paused, f"step {step}")
        before = {one.text: one.note for one in await there(engine, *history) if one.paused}
        triggers = _edited(chance, triggers)
        history.append(wanted := catalog(*(a(*one) for one in triggers)))
        change = await applied(engine, wanted)
        after = await there(engine, *history)
        assert sorted(one.text for one in after) == sorted(said(cron) for cron, _ in triggers)
        parts = change.changes[0].parts
        lost = {one.text for one in parts if one.lost}
        went = {one.there.text: one.text for one in parts if one.there is not None and one.wanted is not None}
        expected = {went[text]: note for text, note in before.items() if text not in lost}
        assert {one.text: one.note for one in after if one.paused} == expected, (step, triggers)
        assert (await engine.applying.difference(wanted)).empty
    now = (await engine.client.get_schedule_handle(foreign).describe()).raw_description.schedule
    assert now == untouched


def _edited(chance: random.Random, triggers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Move, take out, edit and add triggers; each has its own words, so that a test can tell them apart."""
    found = list(triggers)
    free = [cron for cron in (f"{minute} {hour} * * *" for minute in (5, 10) for hour in range(8)) if cron]
    free = [cron for cron in free if cron not in [one for one, _ in found]]
    for what in chance.sample(["move", "out", "cron", "words", "add"], chance.randint(1, 2)):
        place = chance.randrange(len(found)) if found else 0
        if what == "move":
            chance.shuffle(found)
        elif what == "add" and len(found) < 5:
            found.insert(place, (free.pop(chance.randrange(len(free))), ""))
        elif what == "out" and len(found) > 1:
            del found[place]
        elif what == "cron":
            found[place] = (free.pop(chance.randrange(len(free))), found[place][1])
        elif what == "words":
            found[place] = (found[place][0], "" if found[place][1] else ", catch_up: 6h")
    return found


def _somebody_elses(wanted: dict[str, LoadedPolicy]) -> Schedule:
    start = ScheduledStart(policy=wanted["nightly"].policy.at("london"), version=9, trigger=0)
    return schedule_of(start, "theirs", datetime.now(UTC))
