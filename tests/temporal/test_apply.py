"""Applying a catalog to a real Temporal: exactly the difference, twice the same, and nothing that is not ours."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities import schedules
from orchestrator.applied import There
from orchestrator.applying import Action, ApplyError, Difference
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.engine import Engine, open_engine
from orchestrator.settings import Settings, load_settings
from orchestrator.standings import Folder, read_folder, standings

TEXT = """
version: 1
name: {name}
sites: [london, paris]
enabled: {enabled}
triggers:
  - schedule: {{cron: "{cron}", timezone: Europe/London, catch_up: 6h}}
  - schedule: {{cron: "0 3 * * 6", timezone: Europe/London, jitter: 5m}}
select: {{from: {{space: projects}}}}
run: {{workflow: migrate}}
"""
PROMISE = "slo: {last_success: {warn: 24h}}\nnotify: [{on: [failed], to: ops}]\n"
NIGHTLY, LATER = "0 22 * * 1-5", "0 23 * * 1-5"


def policy(name: str = "nightly", cron: str = NIGHTLY, enabled: str = "true") -> dict[str, LoadedPolicy]:
    return {name: read_policy(TEXT.format(name=name, cron=cron, enabled=enabled).encode(), f"{name}.yaml")}


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, temporal_address: str) -> Settings:
    folder = tmp_path_factory.mktemp("apply")
    return load_settings(state_dir=folder, temporal_address=temporal_address, task_queue=f"apply-{folder.name}")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    async with open_engine(settings) as opened:
        yield opened


async def there(engine: Engine) -> list[There]:
    """Look up what may be too new for a list, too."""
    every = [policy(name, cron)[name].policy for name in ("nightly", "weekly") for cron in (NIGHTLY, LATER)]
    return await engine.schedules.there([one.id for each in every for one in engine.schedules.wanted(each, 1)])


async def applied(engine: Engine, catalog: dict[str, LoadedPolicy], **how: bool) -> Difference:
    difference = await engine.applying.difference(catalog, **how)
    await engine.applying.apply(difference, catalog, actor="ann", reason="a test")
    return difference


def actions(difference: Difference) -> dict[str, tuple[str, list[str]]]:
    return {
        change.policy: (str(change.action), [str(part.action) for part in change.parts])
        for change in difference.changes
    }


async def test_a_new_policy_gets_a_version_and_a_schedule_for_each_trigger_and_site(engine: Engine) -> None:
    first = await applied(engine, policy())
    assert actions(first) == {"nightly": ("create", ["create"] * 4)}
    found = await there(engine)
    assert sorted(one.id.rpartition("/schedule/")[2].rpartition("/")[0] for one in found) == [
        *["nightly/london"] * 2, *["nightly/paris"] * 2
    ]  # fmt: skip
    assert len({one.id for one in found}) == 4
    assert all(one.whole and one.next_times for one in found)
    assert engine.versions.current()["nightly"].number == 1


async def test_applied_twice_nothing_changes_the_second_time(engine: Engine) -> None:
    await applied(engine, policy())
    before = [await described(engine, one.id) for one in await there(engine)]
    again = await applied(engine, policy())
    assert again.empty
    assert [await described(engine, one.id) for one in await there(engine)] == before
    assert len(engine.versions.history("nightly")) == 1


async def described(engine: Engine, name: str) -> tuple[object, ...]:
    found = await engine.client.get_schedule_handle(name).describe()
    return name, found.info.last_updated_at, found.schedule.spec, found.schedule.state


async def test_other_words_for_the_same_policy_change_nothing(engine: Engine) -> None:
    await applied(engine, policy())
    text = TEXT.format(name="nightly", cron=NIGHTLY, enabled="true") + "# a remark\ndescription: ''\n"
    text = text.replace("description: ''\n", "")
    assert (await engine.applying.difference({"nightly": read_policy(text.encode(), "x")})).empty


async def test_a_changed_policy_shows_its_lines_and_becomes_the_next_version(engine: Engine) -> None:
    await applied(engine, policy())
    change = await applied(engine, policy(cron=LATER))
    assert actions(change) == {"nightly": ("change", ["change"] * 4)}
    assert [line for line in change.changes[0].diff if line.startswith(("+", "-"))] == [
        f'-  - schedule: {{cron: "{NIGHTLY}", timezone: Europe/London, catch_up: 6h}}',
        f'+  - schedule: {{cron: "{LATER}", timezone: Europe/London, catch_up: 6h}}',
    ]
    assert [one.number for one in engine.versions.history("nightly")] == [1, 2]


async def test_an_operators_pause_outlasts_a_changed_policy(engine: Engine) -> None:
    await applied(engine, policy())
    [name] = [one.id for one in await there(engine) if one.text == f"schedule {NIGHTLY} Europe/London at london"]
    await engine.client.get_schedule_handle(name).pause(note="lunch")
    change = await applied(engine, policy(cron=LATER))
    assert [(one.text, one.note) for one in await there(engine) if one.paused] == [
        (f"schedule {LATER} Europe/London at london", "lunch")
    ]
    assert change.changes[0].parts[0].there is not None
    assert change.changes[0].parts[0].there.paused
    assert len(await there(engine)) == 4


async def test_a_schedule_that_is_not_ours_is_never_touched(engine: Engine) -> None:
    theirs = [f"backup-{engine.settings.task_queue}", f"{engine.settings.task_queue}-other/schedule/nightly/london/0"]
    for name in theirs:
        await engine.client.create_schedule(name, somebody_elses())
    await applied(engine, policy())
    before = [await described(engine, name) for name in theirs]
    await applied(engine, {}, prune=True)
    assert await there(engine) == []
    assert [await described(engine, name) for name in theirs] == before


def somebody_elses() -> Schedule:
    action = ScheduleActionStartWorkflow("Backup", id="backup", task_queue="theirs")
    return Schedule(action=action, spec=ScheduleSpec(cron_expressions=["0 1 * * *"]), state=ScheduleState(paused=True))


async def test_what_somebody_changed_in_temporal_is_drift_and_is_mended(engine: Engine) -> None:
    await applied(engine, policy())
    name = (await there(engine))[0].id
    handle = engine.client.get_schedule_handle(name)

    def at_noon(given: ScheduleUpdateInput) -> ScheduleUpdate:
        given.description.schedule.spec = ScheduleSpec(cron_expressions=["0 12 * * *"])
        return ScheduleUpdate(given.description.schedule)

    await handle.update(at_noon)
    change = await engine.applying.difference(policy())
    assert sorted(actions(change)["nightly"][1]) == ["change", "unchanged", "unchanged", "unchanged"]
    assert change.changes[0].number is None
    await applied(engine, policy())
    assert (await engine.applying.difference(policy())).empty
    assert len(engine.versions.history("nightly")) == 1


async def test_what_somebody_deleted_in_temporal_is_made_again(engine: Engine) -> None:
    await applied(engine, policy())
    await engine.client.get_schedule_handle((await there(engine))[0].id).delete()
    assert sorted(actions(await applied(engine, policy()))["nightly"][1]) == ["create", *["unchanged"] * 3]


async def test_a_catalog_without_a_policy_keeps_it_unless_it_prunes(engine: Engine) -> None:
    await applied(engine, {**policy("nightly"), **policy("weekly")})
    kept = await applied(engine, policy("weekly"))
    assert (actions(kept), kept.others) == ({"weekly": ("unchanged", ["unchanged"] * 4)}, ("nightly",))
    pruned = await applied(engine, policy("weekly"), prune=True)
    assert actions(pruned)["nightly"] == ("remove", ["remove"] * 4)
    assert {one.policy for one in await there(engine)} == {"weekly"}
    assert engine.versions.newest("nightly") is not None
    assert list(engine.versions.current()) == ["weekly"]


async def test_a_disabled_policy_keeps_its_version_and_no_schedule(engine: Engine) -> None:
    await applied(engine, policy())
    assert actions(await applied(engine, policy(enabled="false"))) == {"nightly": ("change", ["remove"] * 4)}
    assert await there(engine) == []
    assert engine.versions.current()["nightly"].number == 2
    assert actions(await applied(engine, policy())) == {"nightly": ("change", ["create"] * 4)}


async def test_what_was_shown_is_what_is_done_or_nothing(engine: Engine) -> None:
    shown = await engine.applying.difference(policy())
    await applied(engine, policy(cron=LATER))
    with pytest.raises(ApplyError, match="somebody changed the engine meanwhile"):
        await engine.applying.apply(shown, policy(), actor="bob", reason="")
    assert len(engine.versions.history("nightly")) == 1


async def test_an_apply_that_stopped_halfway_goes_on_where_it_was(engine: Engine) -> None:
    shown = await engine.applying.difference(policy())
    engine.versions.add(policy()["nightly"], 1, actor="ann", reason="")
    part = shown.changes[0].parts[0]
    assert part.wanted is not None
    await engine.schedules.put(part.wanted)
    rest = await applied(engine, policy())
    assert actions(rest) == {"nightly": ("change", ["unchanged", "create", "create", "create"])}
    assert (await engine.applying.difference(policy())).empty


async def test_what_no_applied_version_names_is_shown_and_goes_only_with_prune(engine: Engine) -> None:
    await applied(engine, policy())
    engine.versions.remove("nightly", 2, actor="ann", reason="stopped halfway")
    for _ in range(100):  # Nobody names them any more: only the engine's list knows them, in a while.
        if len(await engine.schedules.there()) == 4:
            break
        await asyncio.sleep(0.1)
    kept = await applied(engine, policy("weekly"))
    assert [(one.policy, len(one.parts)) for one in kept.orphans] == [("nightly", 4)]
    assert {one.policy for one in await there(engine)} == {"nightly", "weekly"}
    rest = await applied(engine, policy("weekly"), prune=True)
    assert actions(rest)["nightly"] == ("remove", ["remove"] * 4)
    assert {one.policy for one in await there(engine)} == {"weekly"}


async def test_calendars_that_end_soon_are_written_anew_and_a_pause_stays(engine: Engine, client: Client) -> None:
    await applied(engine, policy())
    name = (await there(engine))[0].id
    await client.get_schedule_handle(name).pause(note="lunch")
    found = await schedules.find_one(client, name)
    assert found is not None
    assert found.until is not None
    now = datetime.now(UTC)
    assert await schedules.renew(client, engine.settings.task_queue, found, now) is None
    later = found.until - timedelta(days=1)
    until = await schedules.renew(client, engine.settings.task_queue, found, later)
    assert until is not None
    assert until > found.until + timedelta(days=200)
    again = await schedules.find_one(client, name)
    assert again is not None
    assert (again.until, again.paused, again.note, again.digest) == (until, True, "lunch", found.digest)


async def test_whom_a_policy_names_and_what_it_promises_stand_in_the_record_of_its_version(engine: Engine) -> None:
    text = TEXT.format(name="nightly", cron=NIGHTLY, enabled="true") + PROMISE
    await applied(engine, {"nightly": read_policy(text.encode(), "x")})
    (record,) = engine.log.records(event="policy.applied")
    assert record.body["slo"] == {"last_success": {"warn": "1d"}} and record.body["sites"]
    assert record.body["notify"] == [{"on": ["failed"], "to": "ops"}]


async def test_a_circle_of_policies_is_refused_also_when_they_are_applied_one_by_one(engine: Engine) -> None:
    def after(name: str, other: str) -> dict[str, LoadedPolicy]:
        text = (
            f"version: 1\nname: {name}\nsite: london\ntriggers: [after: {{policy: {other}}}]\n"
            "select: {from: {space: p}}\nrun: {workflow: migrate}\n"
        )
        return {name: read_policy(text.encode(), f"{name}.yaml")}

    first = after("first", "second")["first"]
    engine.versions.add(first, 1, actor="ann", reason="")
    with pytest.raises(ApplyError, match="start each other without end"):
        await engine.applying.difference(after("second", "first"))
    assert (await engine.applying.difference(after("third", "first"))).count(Action.CREATE) == 1


async def test_a_pool_of_two_names_is_refused_also_when_its_policies_are_applied_one_by_one(engine: Engine) -> None:
    def drain(name: str, filesystem: str = "") -> dict[str, LoadedPolicy]:
        text = (
            f"version: 1\nname: {name}\nsite: london\n"
            f"triggers: [threshold: {{pool: sas1, {filesystem}upper: 85%, lower: 70%}}]\n"
            "select: {from: {space: p}}\nrun: {workflow: migrate}\n"
        )
        return {name: read_policy(text.encode(), f"{name}.yaml")}

    engine.versions.add(drain("bare")["bare"], 1, actor="ann", reason="")
    with pytest.raises(ApplyError, match="two watchers would drain one pool"):
        await engine.applying.difference(drain("whole", "filesystem: mmfs1, "))
    assert (await engine.applying.difference(drain("other"))).count(Action.CREATE) == 1


async def test_another_audit_knows_of_nothing_and_touches_nothing(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await applied(engine, policy("nightly"))
    for _ in range(100):  # The other one finds them in the engine's list, in a while.
        if len(await engine.schedules.there()) == 4:
            break
        await asyncio.sleep(0.1)
    other = engine.settings.model_copy(update={"state_dir": tmp_path_factory.mktemp("other")})
    async with open_engine(other) as stranger:
        change = await applied(stranger, policy("weekly"))
        assert actions(change) == {"weekly": ("create", ["create"] * 4)}
        assert [one.policy for one in change.orphans] == ["nightly"]
        shown = {one.policy: (one.folder, len(one.drift)) for one in await standings(stranger, Folder({}, {}))}
        assert shown["nightly"] == ("removed", 4)
    assert {one.policy for one in await there(engine)} == {"nightly", "weekly"}


async def test_one_lost_document_hides_no_other_policy(engine: Engine) -> None:
    await applied(engine, {**policy("nightly"), **policy("weekly")})
    lost = engine.versions.current()["nightly"]
    (engine.settings.state_dir / "store" / str(lost.source)).unlink()
    found = {one.policy: one for one in await standings(engine, Folder({}, {}))}
    assert found["nightly"].folder == "document lost"
    assert "is not in the storage" in str(found["nightly"].trouble)
    assert len(found["nightly"].parts) == 4, "what the engine keeps is shown all the same"
    assert (found["weekly"].folder, found["weekly"].trouble) == ("not in the folder", None)


async def test_one_file_that_cannot_be_used_hides_no_other_policy(engine: Engine, tmp_path: Path) -> None:
    for name in ("nightly", "weekly"):
        (tmp_path / f"{name}.yaml").write_text(TEXT.format(name=name, cron=NIGHTLY, enabled="true"))
    await applied(engine, dict(read_folder(tmp_path).usable))
    (tmp_path / "weekly.yaml").write_text((tmp_path / "weekly.yaml").read_text().replace("select", "selct"))
    (tmp_path / "broken.yaml").write_text("version: [")
    found = {one.policy: one for one in await standings(engine, read_folder(tmp_path))}
    assert {name: one.folder for name, one in found.items()} == {
        "broken": "invalid", "nightly": "in sync", "weekly": "invalid"
    }  # fmt: skip
    assert "weekly.yaml:9:1: unknown key `selct`" in str(found["weekly"].trouble)
    assert (found["weekly"].applied is not None, found["weekly"].drift, len(found["weekly"].parts)) == (True, (), 4)
