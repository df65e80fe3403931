"""Records the histories that `test_replay.py` replays: `pytest tests/temporal/record_histories.py`."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.router_line import tell_router
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import RunError, cancel, decide, pause, resume, retry_failed, run_report, set_limits, start_run
from orchestrator.settings import Settings
from orchestrator.start_records import start_records
from tests.local_hub import LocalHub
from tests.odd_zones import odd_zones
from tests.temporal.policies import a_campaign, a_policy
from tests.temporal.test_replay import HISTORIES, STORIES
from workflows.events import CloudEvent
from workflows.ids import desk_id, keeper_id, router_id
from workflows.keep_schedules import KeepSchedules
from workflows.run import NewLimits
from workflows.run_desk import RunDesk

SCHEDULED = """
version: 1
name: recorded
site: london
triggers: [schedule: {{cron: "0 3 1 1 *", overlap: {overlap}}}]
select: {{from: {{space: projects}}}}
run: {{workflow: migrate, batch: {{files: 5}}, concurrency: 1}}
"""
ROUTED = """
version: 1
name: {name}
site: london
triggers: [{{{trigger}}}]
select: {{from: {{space: projects}}}}
run: {{workflow: migrate}}
"""
LADDER = "{failed_files: {attempts: 3, wait: [1s]}}"
SETS_ASIDE = "{failed_files: {attempts: 3, wait: [1s]}, quarantine: {after: 2, for: 1d}}"
GUARDS = {"refused": "{max_files: 29}", "unusual": "{unusual: {factor: 2}, on_exceed: truncate}"}
APPROVAL = {
    "approved": "{required: always}",
    "rejected": "{required: always}",
    "expired": "{required: always, expires: 1s}",
}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("story", STORIES)
async def test_a_story_is_recorded(story: str, client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(30)
    if story == "retried":
        hub.faults({"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*7.mov"}})
    if story in ("paused", "paused-by-two", "cancelled"):
        hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 0.3}})
    if story == "quarantined":
        hub.faults({"name": "torn", "action": {"kind": "path_fail"}, "match": {"file": "*7.mov"}})
    policy = a_policy(
        concurrency=2,
        guards=GUARDS.get(story, "{}"),
        approval=APPROVAL.get(story, "{}"),
        retry=SETS_ASIDE if story == "quarantined" else LADDER,
    )
    if story == "staged":
        policy = a_campaign(
            "[{workflow: premigrate, concurrency: 2}, {wait: 1s}, {workflow: migrate, approval: always}]"
        )
    run = await start_run(client, settings, policy, actor="ann", reason="a recording")
    segments: set[str] = set()
    async with asyncio.timeout(60):
        while not (progress := await run_progress(client, run)).state.final:
            segments.update(progress.status.open_segments)
            if (wanted := progress.status.approval) is not None and story != "expired":
                agrees = story in ("approved", "staged")
                await decide(client, run, actor="bob", reason="looked at", digest=wanted.digest, approved=agrees)
            if progress.counts.total and story == "paused":
                await pause(client, run, actor="bob", reason="lunch")
                await asyncio.sleep(2)
                await resume(client, run, actor="bob")
                hub.faults()
                break
            if progress.counts.total and story == "paused-by-two":
                await pause(client, run, actor="bob", reason="lunch")
                await pause(client, run, actor="ann", reason="a leak", freeze=7)
                await resume(client, run, actor="bob")
                await resume(client, run, actor="ann", people=False, freezes=(7,))
                hub.faults()
                break
            if progress.counts.total and story == "cancelled":
                await cancel(client, run, actor="bob", reason="enough")
                break
            await asyncio.sleep(0.05)
        await run_report(client, run)
    await _write(client, run, f"run-policy-{story}")
    for segment in sorted(segments)[:1]:
        await _write(client, segment, f"run-batches-{story}")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("story", ["paced", "handed-over"])
async def test_a_paced_run_is_recorded(
    story: str, client: Client, settings: Settings, hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate, a window that cuts jobs, a breaker that opens and closes, new limits, a pause until a moment."""
    if story == "handed-over":  # From segment to segment: of these alone, since the run replays with its own size.
        monkeypatch.setattr("workflows.segments.SEGMENT_BATCHES", 4)
    hub.fill(32)
    sick = {"name": "sick", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*/f0000?.mov"}}
    hub.faults(sick, {"name": "slow", "action": {"kind": "slow", "seconds": 0.5}})
    ladder = "{failed_files: {attempts: 2, wait: [1s]}}\nbreaker: {stop_at: {consecutive_jobs: 2}, probe: 1s}"
    policy = a_policy(files=4, concurrency=2, run=", rate: {jobs_per_minute: 600}", retry=ladder)
    now = datetime.now(UTC).replace(microsecond=0)
    with odd_zones(tmp_path / "zones") as zones:
        windows = (zones.until(now + timedelta(seconds=9)), zones.since(now + timedelta(seconds=12)))
        words = policy.run.model_copy(update={"windows": windows, "outside_windows": "cancel_jobs"})
        policy = policy.model_copy(update={"run": words})
        run = await start_run(client, settings, policy, actor="ann", reason="a recording")
        segments: set[str] = set()
        async with asyncio.timeout(90):
            while not (progress := await run_progress(client, run)).state.final:
                segments.update(progress.status.open_segments)
                if progress.counts.done and progress.status.concurrency == 2:
                    await set_limits(client, run, NewLimits(actor="bob", reason="faster", concurrency=3))
                    await pause(client, run, actor="bob", until=datetime.now(UTC) + timedelta(seconds=1))
                await asyncio.sleep(0.05)
            assert (await run_report(client, run)).outcomes.done == 32
    if story == "paced":
        await _write(client, run, "run-policy-paced")
    for number, segment in enumerate(sorted(segments)[:2]):
        await _write(client, segment, f"run-batches-{story}-{number}")


@pytest.mark.usefixtures("worker")
async def test_a_run_that_adapts_and_tries_again_is_recorded(client: Client, settings: Settings, hub: LocalHub) -> None:
    """Its concurrency grows, a person sets a number and gives it back, failed files go into a round of their own."""
    hub.fill(60)
    denied = {"kind": "path_fail", "code": "EACCES", "times": 1}
    sick = {"name": "sick", "action": denied, "match": {"file": "*/f0005[0-2].mov"}}
    hub.faults(sick, {"name": "slow", "action": {"kind": "slow", "seconds": 0.4}})
    policy = a_policy(files=2, retry=LADDER)
    bounds = type(policy.run).model_validate({**policy.run.model_dump(), "concurrency": {"min": 2, "max": 8}})
    run = await start_run(
        client, settings, policy.model_copy(update={"run": bounds}), actor="ann", reason="a recording"
    )
    async with asyncio.timeout(60):
        while (await run_progress(client, run)).status.adapted is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        [segment] = (await run_progress(client, run)).status.open_segments
        await set_limits(client, run, NewLimits(actor="bob", reason="visitors", concurrency=3))
        await set_limits(client, run, NewLimits(actor="bob", reason="they left", adapts=True))
        hub.faults(sick)
        await retry_failed(client, run, actor="bob", reason="unlocked")
        assert (await run_report(client, run)).outcomes.done == 60
    await _write(client, run, "run-policy-adapting")
    await _write(client, segment, "run-batches-adapting")


@pytest.mark.usefixtures("worker")
async def test_a_schedule_and_its_desk_are_recorded(client: Client, settings: Settings, hub: LocalHub) -> None:
    """A schedule fires while a run is open, starts wait, are skipped and cancel it; the keeper looks twice."""
    hub.fill(10)
    hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 0.3}})
    text = SCHEDULED.format(overlap="queue_one")
    catalog = {"recorded": read_policy(text.encode(), "recorded.yaml")}
    async with open_engine(settings) as engine:
        difference = await engine.applying.difference(catalog)
        await engine.applying.apply(difference, catalog, actor="ann", reason="a recording")
        wanted = engine.schedules.wanted(catalog["recorded"].policy, 1)
        schedule = client.get_schedule_handle(wanted[0].id)
        policy = catalog["recorded"].policy
        first = await start_run(client, settings, policy, actor="ann", reason="a recording")
        await schedule.trigger()
        with pytest.raises(RunError):
            await start_run(client, settings, policy, actor="bob", reason="again")
        keeper = client.get_workflow_handle_for(KeepSchedules.run, keeper_id(settings.task_queue))
        await keeper.signal(KeepSchedules.look)
        hub.faults()
        await run_report(client, first)
        desk = client.get_workflow_handle_for(RunDesk.run, desk_id(settings.task_queue, "london"))
        async with asyncio.timeout(60):
            begun = 0
            while begun < 2 or (await desk.query(RunDesk.status)).open:
                begun = len(start_records(settings, policy="recorded", state="begun", limit=9))
                await asyncio.sleep(0.1)
        await _write(client, desk.id, "run-desk")
        await _write(client, keeper.id, "keep-schedules")
        async for fired in client.list_workflows("WorkflowType = 'Fire'"):
            if fired.id.startswith(settings.task_queue):
                await _write(client, fired.id, "fire")


@pytest.mark.usefixtures("worker")
async def test_a_router_is_recorded(client: Client, settings: Settings, hub: LocalHub) -> None:
    """A burst settles, an event comes twice, one matches nothing, a chain starts, the routes are removed."""
    hub.fill(2)
    texts = {"evented": "event: {type: disk.full, settle: 1s}", "chained": "after: {policy: evented}"}
    catalog = {
        name: read_policy(ROUTED.format(name=name, trigger=trigger).encode(), f"{name}.yaml")
        for name, trigger in texts.items()
    }
    async with open_engine(settings) as engine:
        difference = await engine.applying.difference(catalog)
        await engine.applying.apply(difference, catalog, actor="ann", reason="a recording")
        events = [CloudEvent(id=str(number % 3), source="test", type="disk.full", data={}) for number in range(5)]
        await tell_router(client, settings.task_queue, [*events, CloudEvent(id="9", source="test", type="x", data={})])
        for _ in range(300):
            if start_records(settings, policy="chained", state="begun", limit=9):
                break
            await asyncio.sleep(0.1)
        gone = await engine.applying.difference({}, remove=texts)
        await engine.applying.apply(gone, {}, actor="ann", reason="a recording")
    await _write(client, router_id(settings.task_queue), "route-events")


async def _write(client: Client, workflow: str, name: str) -> None:
    history = await client.get_workflow_handle(workflow).fetch_history()
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.json").write_text(history.to_json() + "\n")
