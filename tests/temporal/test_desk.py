"""The desk of a site begins each run in its turn and once, whatever is told twice, held back or restarted."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from temporalio.client import Client

from activities.applied_policies import policy_place
from activities.holds import Holds
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.starting import hand_in
from activities.storage import open_storage
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.runs import RunError, ask_for_run, list_runs, run_report, start_run
from orchestrator.settings import Settings
from orchestrator.versions import Versions
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.ids import desk_id
from workflows.policy import Policy
from workflows.run import RunRequest
from workflows.run_desk import RunDesk
from workflows.starts import Cause, DeskStatus, Overlap, Start, StartState, Wish, wish_for

SLOW = {"name": "slow", "action": {"kind": "slow", "seconds": 0.4}}


def wish(policy: Policy, key: str, overlap: Overlap = "queue_one", run: str = "") -> Wish:
    request = RunRequest(run=run, policy=policy, actor="ann", reason="a test")
    return wish_for(key=key, request=request, cause=Cause(kind="event", text="a test"), overlap=overlap)


async def answer(client: Client, settings: Settings, key: str, accept: Callable[[Start], bool]) -> Start:
    desk = client.get_workflow_handle_for(RunDesk.run, desk_id(settings.task_queue, "london"))
    for _ in range(600):
        start = await desk.query(RunDesk.about, key)
        if start is not None and accept(start):
            return start
        await asyncio.sleep(0.05)
    raise AssertionError(f"the desk did not say so of {key}: {start}")


async def decided(client: Client, settings: Settings, key: str) -> Start:
    return await answer(client, settings, key, lambda start: True)


async def begun(client: Client, settings: Settings, key: str) -> Start:
    return await answer(client, settings, key, lambda start: start.state is StartState.BEGUN)


async def books(client: Client, settings: Settings) -> DeskStatus:
    desk = client.get_workflow_handle_for(RunDesk.run, desk_id(settings.task_queue, "london"))
    status: DeskStatus = await desk.query(RunDesk.status)
    return status


@pytest.mark.usefixtures("worker")
class TestTurns:
    async def test_a_wish_that_is_told_many_times_begins_one_run(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(1)
        policy = a_policy()
        await asyncio.gather(*(hand_in(client, settings.task_queue, wish(policy, "once", "allow")) for _ in range(20)))
        first = await begun(client, settings, "once")
        await run_report(client, str(first.run))
        await hand_in(client, settings.task_queue, wish(policy, "once", "allow"))
        await hand_in(client, settings.task_queue, wish(policy, "later", "allow"))
        later = await begun(client, settings, "later")
        await run_report(client, str(later.run))
        runs = {run.run for run in await list_runs(client, settings.task_queue, policy=policy.name)}
        assert runs <= {first.run, later.run}
        log = AuditLog(settings.audit.get_secret_value())
        assert len(log.records(event="start.begun")) == 2

    async def test_one_start_waits_behind_a_run_and_the_next_is_skipped(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(5)
        hub.faults(SLOW)
        policy = a_policy()
        for key in ("first", "second", "third"):
            await hand_in(client, settings.task_queue, wish(policy, key))
        first = await begun(client, settings, "first")
        assert (await decided(client, settings, "second")).state is StartState.QUEUED
        third = await decided(client, settings, "third")
        assert (third.state, third.why) == (StartState.SKIPPED, "a start waits already (overlap: queue_one)")
        hub.faults()
        await run_report(client, str(first.run))
        await run_report(client, str((await begun(client, settings, "second")).run))

    async def test_cancel_running_ends_the_run_and_takes_its_place(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(30)
        hub.faults(SLOW)
        policy = a_policy(concurrency=1)
        await hand_in(client, settings.task_queue, wish(policy, "old"))
        old = await begun(client, settings, "old")
        await hand_in(client, settings.task_queue, wish(policy, "new", "cancel_running"))
        ended = await run_report(client, str(old.run))
        assert ended.state == "cancelled"
        hub.faults()
        report = await run_report(client, str((await begun(client, settings, "new")).run))
        assert report.state == "succeeded"

    async def test_a_policy_that_is_held_begins_nothing_and_says_who_holds_it(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(1)
        policy, holds = a_policy(), Holds(AuditLog(settings.audit.get_secret_value()))
        hold = holds.put("freeze", actor="ann", reason="fire", key="1", site="london")
        with pytest.raises(RunError, match=r"ann froze site london at .* UTC: fire"):
            await start_run(client, settings, policy, actor="bob", reason="a test")
        holds.lift(hold, actor="ann", reason="out")
        run = await start_run(client, settings, policy, actor="bob", reason="a test")
        assert (await run_report(client, run)).state == "succeeded"

    async def test_a_run_that_is_terminated_in_temporal_frees_its_place(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(10)
        hub.faults(SLOW)
        policy = a_policy(concurrency=1)
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await hand_in(client, settings.task_queue, wish(policy, "next"))
        await decided(client, settings, "next")
        await client.get_workflow_handle(run).terminate("a test")
        hub.faults()
        await run_report(client, str((await begun(client, settings, "next")).run))


async def test_a_site_runs_so_many_at_once_and_the_most_urgent_first(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(5)
    hub.faults(SLOW)
    one_at_a_time = settings.model_copy(update={"runs_per_site": 1})
    async with working(one_at_a_time, client):
        await hand_in(client, settings.task_queue, wish(a_policy(), "open"))
        first = await begun(client, settings, "open")
        for key, priority in (("last", 5), ("middle", 3), ("urgent", 1)):
            await hand_in(client, settings.task_queue, wish(a_policy(run=f", priority: {priority}"), key))
            assert (await decided(client, settings, key)).why == "the site has 1 runs, as many as it may"
        assert [one.wish.key for one in (await books(client, settings)).waiting] == ["urgent", "middle", "last"]
        hub.faults()
        await run_report(client, str(first.run))
        order = []
        for key in ("urgent", "middle", "last"):
            order.append((await run_report(client, str((await begun(client, settings, key)).run))).started)
        assert order == sorted(order)


async def test_a_start_waits_for_a_worker_and_is_not_lost(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(1)
    policy = a_policy()
    start = await ask_for_run(client, settings, policy, actor="ann", reason="a test", within=1)
    assert (start.state, start.why) == (StartState.QUEUED, "no worker has answered yet")
    async with working(settings, client):
        for _ in range(200):
            if any(run.run == start.run for run in await list_runs(client, settings.task_queue, policy=policy.name)):
                break
            await asyncio.sleep(0.05)
        assert (await run_report(client, str(start.run))).state == "succeeded"


async def test_a_desk_knows_its_runs_and_its_queue_after_its_worker_died(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(5)
    hub.faults(SLOW)
    policy = a_policy()
    async with working(settings, client):
        await hand_in(client, settings.task_queue, wish(policy, "first"))
        first = await begun(client, settings, "first")
        await hand_in(client, settings.task_queue, wish(policy, "second"))
        await decided(client, settings, "second")
    hub.faults()
    async with working(settings, client):
        await run_report(client, str(first.run))
        second = await begun(client, settings, "second")
        await run_report(client, str(second.run))
    assert second.run != first.run


@pytest.mark.usefixtures("worker")
async def test_a_run_that_has_just_ended_stands_in_nobodys_way(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(1)
    policy = a_policy()
    for _ in range(5):
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await run_report(client, run)


@pytest.mark.usefixtures("worker")
async def test_a_wish_that_can_never_be_met_is_told_and_the_desk_goes_on(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(1)
    good = wish(a_policy(), "good")
    poison = {
        "actor": good.model_copy(update={"key": "actor", "actor": "control\x01character"}),
        "request": good.model_copy(update={"key": "request", "request": "{"}),
        "name": wish(a_policy(), "name", run="taken"),
    }
    await start_workflow_named(client, settings, "taken")
    for key, one in poison.items():
        await hand_in(client, settings.task_queue, one)
        refused = await decided(client, settings, key)
        assert refused.state is StartState.SKIPPED
        assert refused.why.startswith("it cannot be met: ")
    records = AuditLog(settings.audit.get_secret_value()).records(event="start.skipped")
    assert [record.key for record in records] == [f"start/{key}/skipped" for key in poison]
    for key in ("k" * 5_000, "control\x01character"):
        await hand_in(client, settings.task_queue, wish(a_policy(), key))
        run = str((await begun(client, settings, key)).run)
        assert (await run_report(client, run)).state == "succeeded"
    run = await start_run(client, settings, a_policy(), actor="ann", reason="odd \x07 \u202e reason")
    assert (await run_report(client, run)).state == "succeeded"


async def start_workflow_named(client: Client, settings: Settings, name: str) -> None:
    """Take a run's name by a workflow that nobody works on."""
    await client.start_workflow("Unknown", id=name, task_queue=settings.task_queue + "-elsewhere")


@pytest.mark.usefixtures("worker")
async def test_cancel_running_ends_nothing_while_the_policy_is_held(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(5)
    hub.faults(SLOW)
    policy, holds = a_policy(), Holds(AuditLog(settings.audit.get_secret_value()))
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    holds.put("pause", actor="ann", reason="look first", key="1", policy=policy.name)
    await hand_in(client, settings.task_queue, wish(policy, "new", "cancel_running"))
    assert (await decided(client, settings, "new")).state is StartState.SKIPPED
    hub.faults()
    assert (await run_report(client, run)).state == "succeeded"


async def test_a_newcomer_does_not_overtake_a_more_urgent_start(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(3)
    hub.faults(SLOW)
    async with working(settings.model_copy(update={"runs_per_site": 1}), client):
        holds = Holds(AuditLog(settings.audit.get_secret_value()))
        urgent = a_policy(run=", priority: 1").model_copy(update={"name": "urgent"})
        late = a_policy().model_copy(update={"name": "late"})
        await hand_in(client, settings.task_queue, wish(a_policy(), "open"))
        first = await begun(client, settings, "open")
        await hand_in(client, settings.task_queue, wish(urgent, "urgent"))
        await decided(client, settings, "urgent")
        hold = holds.put("pause", actor="ann", reason="", key="1", policy="urgent")
        hub.faults()
        await run_report(client, str(first.run))
        holds.lift(hold, actor="ann", reason="")  # nobody tells the desk to look: the next wish makes it look
        await hand_in(client, settings.task_queue, wish(late, "late"))
        runs = [str((await begun(client, settings, key)).run) for key in ("urgent", "late")]
        ends = [await run_report(client, run) for run in runs]
        assert ends[0].finished <= ends[1].started


@pytest.mark.usefixtures("worker")
async def test_a_wish_that_was_told_before_a_desk_was_lost_begins_nothing_again(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(1)
    await hand_in(client, settings.task_queue, wish(a_policy(), "once"))
    first = await begun(client, settings, "once")
    await run_report(client, str(first.run))
    await client.get_workflow_handle(desk_id(settings.task_queue, "london")).terminate("a test")
    await hand_in(client, settings.task_queue, wish(a_policy(), "once"))
    assert await decided(client, settings, "once") == first
    log = AuditLog(settings.audit.get_secret_value())
    assert len(log.records(event="start.begun")) == 1


async def test_what_was_applied_or_removed_while_a_start_waited_counts(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(3)
    hub.faults(SLOW)
    storage = open_storage(settings.storage)
    versions = Versions(AuditLog(settings.audit.get_secret_value()), storage)
    for name in ("changed", "removed", "measured", "lost"):
        versions.add(versioned(name), 1, actor="ann", reason="")
    async with working(settings.model_copy(update={"runs_per_site": 1}), client):
        await hand_in(client, settings.task_queue, wish(a_policy(), "open"))
        await begun(client, settings, "open")
        for name in ("changed", "removed", "measured", "lost"):
            request = RunRequest(run="", policy=versioned(name).policy, version=1, actor="schedule", reason="a test")
            cause = Cause(kind="threshold" if name == "measured" else "schedule", text="a test")
            await hand_in(client, settings.task_queue, wish_for(key=name, request=request, cause=cause))
            assert (await decided(client, settings, name)).state is StartState.QUEUED
        for name in ("changed", "measured", "lost"):
            versions.add(versioned(name, "recall"), 2, actor="ann", reason="")
        storage.delete(policy_place(versioned("lost", "recall").policy.digest))
        versions.remove("removed", 2, actor="ann", reason="")
        hub.faults()
        gone = await answer(client, settings, "removed", lambda start: start.state is StartState.SKIPPED)
        assert gone.why == "policy removed was removed (change 2)"
        report = await run_report(client, str((await begun(client, settings, "changed")).run))
        assert report.version == 2
        measured = await answer(client, settings, "measured", lambda start: start.state is StartState.SKIPPED)
        assert measured.why == "policy measured was changed meanwhile (version 2)"
        assert [one.wish.key for one in (await books(client, settings)).waiting] == ["lost"]


def versioned(name: str, workflow: str = "migrate") -> LoadedPolicy:
    text = (
        f"version: 1\nname: {name}\nsite: london\nselect: {{from: {{space: projects}}}}\nrun: {{workflow: {workflow}}}"
    )
    return read_policy(text.encode(), f"{name}.yaml")


async def test_two_installations_begin_the_same_start_each_for_itself(
    client: Client, settings: Settings, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fill(1)
    other = settings.model_copy(
        update={"task_queue": f"{settings.task_queue}-2", "audit_url": SecretStr(f"sqlite:///{tmp_path}/other.db")}
    )
    one = wish(a_policy(), "same")
    async with working(settings, client), working(other, client):
        await asyncio.gather(*(hand_in(client, each.task_queue, one) for each in (settings, other)))
        runs = [str((await begun(client, each, "same")).run) for each in (settings, other)]
        assert len(set(runs)) == 2
        for run in runs:
            await run_report(client, run)


@pytest.mark.long
async def test_a_desk_whose_audit_was_away_goes_on_without_a_long_history(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    """The database's place is taken by a folder for longer than a local activity is tried."""
    hub.fill(1)
    audit = Path(settings.audit.get_secret_value().removeprefix("sqlite:///"))
    async with working(settings, client):
        audit.mkdir(parents=True)  # noqa: ASYNC240
        await hand_in(client, settings.task_queue, wish(a_policy(), "late"))
        await asyncio.sleep(7)
        desk = client.get_workflow_handle(desk_id(settings.task_queue, "london"))
        assert (await desk.describe()).history_length < 20
        audit.rmdir()  # noqa: ASYNC240
        await run_report(client, str((await begun(client, settings, "late")).run))


@pytest.mark.long
async def test_hundreds_of_wishes_that_came_while_no_worker_worked_are_each_decided_once(
    client: Client, settings: Settings
) -> None:
    log = AuditLog(settings.audit.get_secret_value())
    policy = a_policy()
    Holds(log).put("pause", actor="ann", reason="", key="1", policy=policy.name)
    keys = [f"key {number}" for number in range(250)]
    await asyncio.gather(*(hand_in(client, settings.task_queue, wish(policy, key)) for key in keys))
    told: list[Stored] = []
    async with working(settings, client):
        for _ in range(300):
            if len(told := log.records(event="start.skipped")) >= len(keys):
                break
            await asyncio.sleep(0.1)
    assert sorted(record.key.split("/")[1] for record in told) == sorted(keys)


@pytest.mark.long
@pytest.mark.usefixtures("worker")
async def test_a_desk_takes_a_fresh_history_and_loses_no_start(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(1)
    policy = a_policy()
    first = await start_run(client, settings, policy, actor="ann", reason="a test")
    desk = client.get_workflow_handle(desk_id(settings.task_queue, "london"))
    before = (await desk.describe()).run_id
    told = 0
    async with asyncio.timeout(120):
        while (await desk.describe()).run_id == before:
            await asyncio.gather(*(hand_in(client, settings.task_queue, wish(policy, "once")) for _ in range(50)))
            told += 50
            await asyncio.sleep(0.2)  # a flood without a pause would keep the engine from taking the fresh history
    assert told > 300
    begun_once = await begun(client, settings, "once")
    await run_report(client, str(begun_once.run))
    assert begun_once.run != first
    log = AuditLog(settings.audit.get_secret_value())
    assert len(log.records(event="start.begun")) == 2
