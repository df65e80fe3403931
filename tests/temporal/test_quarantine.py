"""Files that keep failing leave the ladder and every policy's plans, and the run that set them aside succeeds."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from activities.outcomes import read_outcomes
from activities.quarantine import Quarantine, Which
from activities.storage import open_storage
from orchestrator.previews import preview
from orchestrator.releasing import release
from orchestrator.runs import run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.plan import OutcomeCounts
from workflows.policy import Policy
from workflows.run import RunReport, RunState

HEEDS = "{failed_files: {attempts: 2, wait: [1s]}}"


def sets_aside(after: int, attempts: int = 2) -> str:
    return f"{{failed_files: {{attempts: {attempts}, wait: [1s]}}, quarantine: {{after: {after}, for: 14d}}}}"


def poisoned(*names: str, code: str = "EBADF", times: int = 99) -> list[dict[str, Any]]:
    action = {"kind": "path_fail", "times": times, "code": code, "message": "the tape is torn"}
    return [{"name": name, "action": action, "match": {"file": f"*/{name}"}} for name in names]


@pytest.fixture
def quarantine(settings: Settings) -> Iterator[Quarantine]:
    opened = Quarantine(settings.quarantine.get_secret_value())
    yield opened
    opened.close()


async def ended(client: Client, settings: Settings, policy: Policy) -> RunReport:
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(60):
        return await run_report(client, run)


def records(settings: Settings, event: str, run: str | None = None) -> list[dict[str, Any]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [record.body for record in log.records(run=run, event=event)]
    finally:
        log.close()


@pytest.mark.usefixtures("worker")
class TestAFileThatKeepsFailing:
    async def test_leaves_the_ladder_and_is_no_error_of_its_run(
        self, client: Client, settings: Settings, hub: LocalHub, quarantine: Quarantine
    ) -> None:
        hub.fill(12)
        hub.faults(*poisoned("f00003.mov", "f00007.mov"))
        report = await ended(client, settings, a_policy(retry=sets_aside(2, attempts=5)))
        assert (report.state, len(report.rounds), report.jobs) == (RunState.SUCCEEDED, 2, 4)
        assert report.outcomes == OutcomeCounts(done=10, quarantined=2, bytes_done=1000)
        rows = read_outcomes(open_storage(settings.storage), report.run, outcome="quarantined")
        assert [(row.path[-10:], row.round) for row in rows] == [("f00003.mov", 2), ("f00007.mov", 2)]
        assert all("the tape is torn (failed 2 times in a row: set aside until " in row.message for row in rows)
        found = list(quarantine.listed())
        assert {(one.path, one.message, one.tries, one.run) for one in found} == {
            (f"/mmfs1/projects/a/f0000{number}.mov", "the tape is torn", 2, report.run) for number in (3, 7)
        }
        told = records(settings, "quarantine.set", report.run)
        assert [(one["round"], one["files"], one["reasons"]) for one in told] == [(2, 2, {"hub_error": 2})]

    async def test_is_left_out_by_every_policy_until_it_is_released(
        self, client: Client, settings: Settings, hub: LocalHub, quarantine: Quarantine
    ) -> None:
        hub.fill(6)
        hub.faults(*poisoned("f00003.mov"))
        await ended(client, settings, a_policy(retry=sets_aside(1)))
        other = a_policy(workflow="premigrate", retry=HEEDS)
        report = await ended(client, settings, other)
        assert report.plan is not None
        assert (report.plan.files, report.plan.passed_over) == (5, {"quarantined": 1})
        seen = await preview(settings, other)
        assert (seen.plan.passed_over, seen.report.passed_over["quarantined"].bytes) == ({"quarantined": 1}, 100)
        log = AuditLog(settings.audit.get_secret_value())
        assert release(quarantine, log, Which(), actor="ann", reason="a new tape") == 1
        log.close()
        hub.faults()
        report = await ended(client, settings, other)
        assert report.plan is not None
        assert (report.state, report.plan.files, report.outcomes.done) == (RunState.SUCCEEDED, 6, 1)

    async def test_is_counted_over_runs_and_a_permanent_failure_counts_as_well(
        self, client: Client, settings: Settings, hub: LocalHub, quarantine: Quarantine
    ) -> None:
        hub.fill(4)
        hub.faults(*poisoned("f00002.mov", code="EACCES"))
        policy = a_policy(retry=sets_aside(3, attempts=5))
        for tries in (1, 2):
            report = await ended(client, settings, policy)
            assert (report.state, report.outcomes.failed) == (RunState.FAILED, {"permission_denied": 1})
            assert [one.tries for one in quarantine.find("/mmfs1/projects/a/f00002.mov")] == [tries]
        report = await ended(client, settings, policy)
        assert (report.state, report.outcomes.quarantined) == (RunState.SUCCEEDED, 1)

    async def test_begins_anew_after_a_success_of_any_policy(
        self, client: Client, settings: Settings, hub: LocalHub, quarantine: Quarantine
    ) -> None:
        hub.fill(4)
        hub.faults(*poisoned("f00002.mov"))
        await ended(client, settings, a_policy(retry=sets_aside(9)))
        assert [one.tries for one in quarantine.find("/mmfs1/projects/a/f00002.mov")] == [2]
        hub.faults()
        await ended(client, settings, a_policy(workflow="premigrate", retry=HEEDS))
        assert quarantine.find("/mmfs1/projects/a/f00002.mov") == []

    async def test_is_not_counted_when_the_hub_refused_its_batch_as_a_whole(
        self, client: Client, settings: Settings, hub: LocalHub, quarantine: Quarantine
    ) -> None:
        hub.fill(4)
        refuse = {"kind": "status", "status": 400}
        hub.faults({"name": "no", "action": refuse, "match": {"method": "POST", "path": "/file/workflow/"}})
        report = await ended(client, settings, a_policy(retry=sets_aside(1)))
        assert (report.state, report.outcomes.failed) == (RunState.FAILED, {"hub_error": 4})
        assert quarantine.find("/mmfs1/projects/a/f00002.mov") == []
