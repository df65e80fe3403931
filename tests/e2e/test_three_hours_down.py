"""Policies were to start in three hours in which engine, worker and Hub lay dead: real processes, shifted clocks."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from typing import Any, NamedTuple

import pytest

from activities.ledger.log import AuditLog
from orchestrator.catalog import read_policy
from orchestrator.runs import run_report
from orchestrator.settings import Settings, load_settings
from orchestrator.start_records import start_records
from orchestrator.temporal import connect
from tests.local_hub import LocalHub
from tests.machine import Machine, Process, eventually, temporal_process, worker_process
from tests.shifted_clock import shifted, why_not
from workflows.ids import fired_id, keeper_id
from workflows.keep_schedules import KeeperStatus, KeepSchedules
from workflows.run import RunState
from workflows.scheduled import ScheduledStart

OUTAGE = timedelta(hours=3, minutes=10)
BEFORE = timedelta(hours=2)
"""How long before the end of the outage the start is meant: an hour or more from its beginning and from each window."""

POLICY = """\
version: 1
name: {name}
site: london
triggers:
  - schedule: {{cron: "{at:%-M} {at:%-H} * * *", catch_up: {catch_up}}}
select:
  from: {{space: projects}}
  paths: [/mmfs1/projects/{name}]
run: {{workflow: migrate, batch: {{files: 2}}}}
"""

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")


class Site(NamedTuple):
    """What loses its power and gets it back."""

    machine: Machine
    hub: LocalHub
    temporal: Process
    worker: Process

    @property
    def settings(self) -> Settings:
        """The settings of somebody who looks on."""
        return load_settings(state_dir=self.machine.state, temporal_address=self.temporal.address, hub_url=self.hub.url)

    def restart(self, *what: LocalHub | Process) -> None:
        """End some of it at once, the last first, and start it again; from now on with the machine's own clock."""
        for one in reversed(what):
            one.kill()
        self.machine.clock = timedelta()
        for one in what:
            one.clock = timedelta()
            one.start()

    def starts(self) -> list[dict[str, Any]]:
        """What became of each start, by policy."""
        found = start_records(self.settings, policy=None, state=None, limit=100)
        return sorted(found, key=lambda one: str(one["policy"]))

    def told(self) -> list[tuple[str, str]]:
        """Every record about a start, and its policy."""
        log = AuditLog(self.settings.audit.get_secret_value())
        try:
            assert log.verify().ok
            return sorted((one.event, one.body["policy"]) for one in log.records() if one.event.startswith("start."))
        finally:
            log.close()

    async def planned(self, start: ScheduledStart) -> datetime:
        """When the engine means to make a start next."""
        client = await connect(self.settings)
        described = await client.get_schedule_handle(start.id_in(self.settings.task_queue)).describe()
        return described.info.next_action_times[0]

    async def made(self) -> set[str]:
        """The ids of all that schedules of the engine ever started, and of all runs; its list is a moment behind."""
        client = await connect(self.settings)
        await asyncio.sleep(1)
        return {one.id async for one in client.list_workflows("WorkflowType IN ('Fire', 'RunPolicy')")}

    async def looked(self) -> datetime:
        """Let the keeper of the schedules look once more, and give the moment of its look."""
        client = await connect(self.settings)
        keeper = client.get_workflow_handle_for(KeepSchedules.run, keeper_id(self.settings.task_queue))
        before: KeeperStatus = await keeper.query(KeepSchedules.status)
        await keeper.signal(KeepSchedules.look)
        for _ in range(300):
            await asyncio.sleep(0.1)
            now: KeeperStatus = await keeper.query(KeepSchedules.status)
            if now.looked is not None and now.looked != before.looked:
                return now.looked
        raise AssertionError("the keeper of the schedules does not look")


@pytest.fixture
def site(machine: Machine, tmp_path: Path) -> Iterator[Site]:
    """A site that runs, with all its wall clocks behind by the length of the outage to come."""
    machine.clock = -OUTAGE
    with ExitStack() as until_end:
        hub = until_end.enter_context(LocalHub(tmp_path / "hub", clock=-OUTAGE))
        key = hub.state / "admin.key"
        temporal = temporal_process(tmp_path / "temporal", clock=-OUTAGE)
        until_end.callback(temporal.stop)
        address = temporal.address
        worker = worker_process(machine.state, temporal=address, hub=hub.url, key=key, clock=-OUTAGE)
        until_end.callback(worker.stop)
        machine.environment |= {
            "TEMPORAL_ADDRESS": address,
            "ORCHESTRATOR_HUB_URL": hub.url,
            "ORCHESTRATOR_HUB_KEY_FILE": str(key),
        }
        yield Site(machine, hub, temporal, worker)


def a_start(machine: Machine, name: str, meant: datetime, catch_up: str) -> ScheduledStart:
    """Write a policy with one scheduled start a day, and give it as it will be applied."""
    text = POLICY.format(name=name, at=meant, catch_up=catch_up)
    file = machine.policies / f"{name}.yaml"
    file.write_text(text)
    return ScheduledStart(policy=read_policy(text.encode(), file.name).policy, version=1, trigger=0)


def test_of_a_program_that_is_shifted_the_wall_clock_moves_and_no_other() -> None:
    """Also where SQLite or C reads it; CLOCK_MONOTONIC, by which timers run, stays."""
    code = (
        "import ctypes, sqlite3, time; print(time.time(), time.clock_gettime(5), ctypes.CDLL(None).time(None),"
        " *sqlite3.connect(':memory:').execute(\"select strftime('%s', 'now')\").fetchone(), time.monotonic())"
    )
    ended = run(shifted(-OUTAGE, sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=30)
    *walls, monotonic = (float(word) for word in ended.stdout.split())
    assert len(walls) == 4
    then = time.time() - OUTAGE.total_seconds()
    assert all(then - 30 < wall < then for wall in walls)
    assert time.monotonic() - 30 < monotonic < time.monotonic()


@pytest.mark.long
async def test_after_three_hours_a_start_is_caught_up_once_or_told_as_missed(site: Site) -> None:
    machine, hub = site.machine, site.hub
    back = datetime.now(UTC)
    meant = (back - BEFORE).replace(second=0, microsecond=0)
    for name in ("hasty", "patient"):
        hub.fill(4, folder=name)
    hasty, patient = a_start(machine, "hasty", meant, "1h"), a_start(machine, "patient", meant, "6h")

    applied = machine.run("apply", "--yes", "--reason", "three hours")
    assert applied.returncode == 0, applied.stderr
    assert timedelta() < await site.looked() - (back - OUTAGE) < timedelta(minutes=2), "the worker lives in the past"
    planned = [await site.planned(one) for one in (hasty, patient)]
    assert planned == [meant, meant], "so does the engine, which means to start both"
    assert site.told() == []

    site.restart(hub, site.temporal, site.worker)
    assert eventually(lambda: len(site.starts()) == 2, within=40), site.starts()
    missed, caught = site.starts()
    assert [caught[word] for word in ("policy", "state", "scheduled")] == ["patient", "begun", meant.isoformat()]
    assert ", caught up 2 h " in caught["text"], caught
    assert [missed[word] for word in ("policy", "state", "scheduled")] == ["hasty", "missed", meant.isoformat()]
    report = await run_report(await connect(site.settings), caught["run"])
    assert (report.state, report.outcomes.done, report.jobs) == (RunState.SUCCEEDED, 4, 2)
    once = (_, told, made, jobs) = (site.starts(), site.told(), await site.made(), hub.paths_by_job())
    assert told == [("start.begun", "patient"), ("start.missed", "hasty"), ("start.wished", "patient")]
    assert made == {fired_id(patient.fire_in(site.settings.task_queue), meant), caught["run"]}
    files = [f"/mmfs1/projects/patient/f{number:05d}.mov" for number in range(4)]
    assert (len(jobs), sorted(path for paths in jobs.values() for path in paths)) == (2, files)

    restarted = datetime.now(UTC)
    site.restart(site.temporal, site.worker)
    assert await site.looked() > restarted
    assert (site.starts(), site.told(), await site.made(), hub.paths_by_job()) == once

    shown = machine.run("starts", COLUMNS="160").stdout.splitlines()
    [line] = [one for one in shown if "hasty" in one]
    said = "nothing could start it within 1h of its time (catch_up)"
    assert f"meant for {meant.astimezone():%m-%d %H:%M}: {said}" in line
