"""Freezes and pauses hold what they cover and nothing else, and whatever happens halfway, all can be let go again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest
from temporalio.client import Client

from activities.holds import BadNote
from orchestrator import frozen_runs
from orchestrator.catalog import read_policy
from orchestrator.engine import Engine, open_engine
from orchestrator.holding import (
    Frozen,
    HoldError,
    freeze,
    holds_on,
    pause_policy,
    resume_policy,
    resume_run,
    thaw,
)
from orchestrator.runs import RunError, cancel, list_runs, pause, run_status, start_run
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.policy import Policy

SLOW = {"name": "slow", "action": {"kind": "slow", "seconds": 0.5}}
TEXT = """
version: 1
name: nightly
sites: [london, paris]
labels: {tier: cold}
triggers: [schedule: {cron: "0 22 * * 1-5"}]
select: {from: {space: projects}}
run: {workflow: migrate}
"""


@pytest.fixture
async def engine(settings: Settings, tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine(settings.model_copy(update={"policies_dir": tmp_path / "none"})) as opened:
        yield opened


@pytest.fixture
def slow(hub: LocalHub) -> LocalHub:
    hub.fill(60)
    hub.faults(SLOW)
    return hub


async def begun(engine: Engine, policy: Policy | None = None) -> str:
    meant = policy or a_policy(files=1, concurrency=1)
    return await start_run(engine.client, engine.settings, meant, actor="ann", reason="a test")


async def frozen(engine: Engine, key: str, *, site: str | None = None, runs: bool = True, actor: str = "ann") -> Frozen:
    return await freeze(engine, site=site, label=None, runs=runs, actor=actor, reason=f"why {key}", key=key)


async def pausers(client: Client, run: str) -> list[tuple[str, str]]:
    return [(one.name, one.reason) for one in (await run_status(client, run)).pausers]


async def end(engine: Engine, *runs: str) -> None:
    for run in runs:
        await cancel(engine.client, run, actor="ann")


async def applied(engine: Engine, text: str = TEXT) -> None:
    catalog = {"nightly": read_policy(text.encode(), "nightly.yaml")}
    await engine.applying.apply(await engine.applying.difference(catalog), catalog, actor="ann", reason="a test")


@pytest.mark.usefixtures("worker")
class TestRunsOfAFreeze:
    async def test_are_those_of_this_installation_alone(self, engine: Engine, slow: LocalHub) -> None:
        theirs = engine.settings.model_copy(update={"task_queue": engine.settings.task_queue + "-theirs"})
        ours = await begun(engine)
        async with working(theirs, engine.client), open_engine(theirs) as other:
            run = await begun(other)
            done = await frozen(engine, "1")
            assert done.runs.done == [ours]
            assert await pausers(engine.client, run) == []
            assert [one.run for one in await list_runs(engine.client, theirs.task_queue)] == [run]
            await thaw(engine, done.hold, actor="ann", reason="")
            await end(engine, run, ours)

    async def test_stay_paused_until_every_freeze_and_person_lets_go(self, engine: Engine, slow: LocalHub) -> None:
        run, client = await begun(engine), engine.client
        first, second = await frozen(engine, "1"), await frozen(engine, "2", actor="bob")
        assert (await pause(client, run, actor="eve", reason="lunch")).state == "paused"
        names = [f"ann (freeze {first.hold.number})", f"bob (freeze {second.hold.number})", "eve"]
        assert await pausers(client, run) == [(names[0], "why 1"), (names[1], "why 2"), ("eve", "lunch")]
        thawed = await thaw(engine, first.hold, actor="ann", reason="")
        assert (thawed.done, thawed.still) == ([run], {run: f"{names[1]}, eve"})
        still = await resume_run(client, engine.holds, run, actor="eve", reason="")
        assert (still.state, still.paused_by) == ("paused", names[1])
        assert still.waits_for == f"the end of freeze {second.hold.number} by bob (why 2)"
        thawed = await thaw(engine, second.hold, actor="bob", reason="")
        assert (thawed.done, thawed.still) == ([run], {})
        assert (await run_status(client, run)).state == "running"
        records = engine.log.records(run=run)
        assert [one.actor for one in records if one.event == "run.paused"] == ["ann", "bob", "eve"]
        assert [one.body["still"] for one in records if one.event == "run.resumed"][-1] is None
        await end(engine, run)

    async def test_that_a_person_had_paused_before_stay_paused(self, engine: Engine, slow: LocalHub) -> None:
        run = await begun(engine)
        await pause(engine.client, run, actor="eve", reason="lunch")
        done = await frozen(engine, "1")
        assert (await thaw(engine, done.hold, actor="ann", reason="")).still == {run: "eve"}
        assert await pausers(engine.client, run) == [("eve", "lunch")]
        await end(engine, run)

    async def test_are_let_go_by_the_next_thaw_when_one_died_halfway(self, engine: Engine, slow: LocalHub) -> None:
        runs = [await begun(engine) for _ in range(3)]
        done = await frozen(engine, "1")
        assert sorted(done.runs.done) == sorted(runs)
        with patch.object(frozen_runs, "_AT_ONCE", 1):
            thawing = asyncio.create_task(thaw(engine, done.hold, actor="ann", reason=""))
            while all([await pausers(engine.client, run) for run in runs]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            thawing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await thawing
        assert any([await pausers(engine.client, run) for run in runs])
        assert engine.holds.standing() == [done.hold], "it is seen that the thaw is not done"
        await thaw(engine, done.hold, actor="ann", reason="")
        assert [await pausers(engine.client, run) for run in runs] == [[]] * 3
        assert engine.holds.standing() == []
        await end(engine, *runs)

    async def test_are_let_go_also_when_the_freeze_was_lifted_before(self, engine: Engine, slow: LocalHub) -> None:
        run = await begun(engine)
        done = await frozen(engine, "1")
        engine.holds.lift(done.hold, actor="ann", reason="")
        found = engine.holds.find(done.hold.number)
        assert found == done.hold
        assert (await thaw(engine, found, actor="bob", reason="")).done == [run]
        await pause(engine.client, run, actor="ann", reason="", freeze=done.hold.number)
        assert (await resume_run(engine.client, engine.holds, run, actor="bob", reason="")).state == "running"
        await end(engine, run)

    async def test_that_begin_at_the_same_moment_are_met_too(self, engine: Engine, slow: LocalHub) -> None:
        policies = [a_policy(files=1, concurrency=1) for _ in range(6)]

        async def try_to_begin(policy: Policy) -> str | None:
            try:
                return await begun(engine, policy)
            except RunError as error:
                assert "why 1" in str(error)
                return None

        began, done = await asyncio.gather(asyncio.gather(*map(try_to_begin, policies)), frozen(engine, "1"))
        runs = [run for run in began if run is not None]
        assert sorted(done.runs.done) == sorted(runs)
        await thaw(engine, done.hold, actor="ann", reason="")
        await end(engine, *runs)

    @pytest.mark.long
    async def test_that_have_just_ended_or_do_not_answer_stop_no_other(self, engine: Engine, slow: LocalHub) -> None:
        runs = [await begun(engine) for _ in range(3)]
        silent = f"{runs[2]}-silent"  # It fails on what it was given, again and again.
        await engine.client.start_workflow(
            "RunPolicy", {}, id=silent, task_queue=engine.settings.task_queue, memo={"policy": "p", "site": "london"}
        )
        await engine.client.get_workflow_handle(runs[0]).terminate("a test")
        with patch.object(frozen_runs, "_ANSWER_S", 2.0):
            done = await frozen(engine, "1")
        assert sorted(done.runs.done) == sorted(runs[1:])
        assert done.runs.failed == {silent: "it did not answer in 2 s"}
        await engine.client.get_workflow_handle(silent).terminate("a test")
        assert sorted((await thaw(engine, done.hold, actor="ann", reason="")).done) == sorted(runs[1:])
        await end(engine, *runs[1:])

    async def test_are_not_held_by_a_freeze_that_was_thawed_while_it_paused_them(
        self, engine: Engine, slow: LocalHub
    ) -> None:
        run = await begun(engine)
        freezing = asyncio.create_task(frozen(engine, "1"))
        while not await pausers(engine.client, run):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await thaw(engine, engine.holds.standing()[0], actor="bob", reason="")
        late = await begun(engine)
        done = await freezing
        assert not done.stands
        assert [await pausers(engine.client, one) for one in (run, late)] == [[], []]
        await end(engine, run, late)


class TestAFreeze:
    async def test_of_a_site_that_nobody_knows_is_refused_and_leaves_no_trace(self, engine: Engine) -> None:
        with pytest.raises(HoldError, match=r"^--site londn: no policy and no run is at that site; none is at any yet"):
            await frozen(engine, "1", site="londn", runs=False)
        await applied(engine)
        with pytest.raises(HoldError, match=r"did you mean `london`\? Known: london, paris"):
            await frozen(engine, "1", site="londn", runs=False)
        assert engine.holds.standing() == []

    async def test_is_seen_on_the_policies_that_it_covers_by_site_and_label(self, engine: Engine) -> None:
        await applied(engine)
        for key, value in (("tier", "cold"), ("tier", "hot")):
            await freeze(engine, site=None, label=(key, value), runs=False, actor="ann", reason="r", key=value)
        await frozen(engine, "1", site="paris", runs=False)
        assert [hold.scope for hold in holds_on(engine, "nightly")] == ["label tier=cold", "site paris"]
        await applied(engine, TEXT.replace("cold", "hot").replace(", paris", ""))
        assert [hold.scope for hold in holds_on(engine, "nightly")] == ["label tier=hot"]
        resumed = await resume_policy(engine, "nightly", actor="bob", reason="")
        assert [hold.scope for hold in resumed.still] == ["label tier=hot"]

    async def test_with_a_reason_that_is_no_line_of_text_is_refused_before_anything_is_done(
        self, engine: Engine
    ) -> None:
        await applied(engine)
        for reason in ("x" * 501, "two\nlines", "half \ud800"):
            with pytest.raises(BadNote):
                await freeze(engine, site=None, label=None, runs=False, actor="ann", reason=reason, key="1")
            with pytest.raises(BadNote):
                await pause_policy(engine, "nightly", actor="ann", reason=reason, key="2")
            with pytest.raises(BadNote):
                await pause(engine.client, "any", actor="ann", reason=reason)
        assert engine.holds.standing() == []
        assert not any(one.paused for one in await engine.schedules.there())


class TestAPause:
    async def test_is_made_once_and_says_who_made_it(self, engine: Engine) -> None:
        await applied(engine)
        await pause_policy(engine, "nightly", actor="ann", reason="lunch", key="1")
        with pytest.raises(HoldError, match=r"is paused already: ann paused policy nightly at .*: lunch. `orch"):
            await pause_policy(engine, "nightly", actor="bob", reason="an incident", key="2")

    async def test_of_a_policy_that_was_removed_can_be_lifted(self, engine: Engine) -> None:
        await applied(engine)
        hold = await pause_policy(engine, "nightly", actor="ann", reason="lunch", key="1")
        gone = await engine.applying.difference({}, remove=["nightly"])
        await engine.applying.apply(gone, {}, actor="ann", reason="")
        assert (await resume_policy(engine, "nightly", actor="bob", reason="")).lifted == [hold]
        assert engine.holds.standing() == []

    async def test_lets_its_schedules_go_when_it_ends(self, engine: Engine) -> None:
        await applied(engine)
        ids = [one.id for one in engine.schedules.wanted(read_policy(TEXT.encode(), "x").policy, 1)]
        await pause_policy(engine, "nightly", actor="ann", reason="lunch", key="1")
        assert [one.paused for one in await engine.schedules.there(ids)] == [True, True]
        assert (await resume_policy(engine, "nightly", actor="bob", reason="")).schedules == 2
        assert [one.paused for one in await engine.schedules.there(ids)] == [False, False]
