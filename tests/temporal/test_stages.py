"""Campaigns: stages over one plan, each for the files that succeeded in the one before; waits, approvals, skips."""

import asyncio
import os
from collections import Counter
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from activities.outcomes import FileOutcome, read_outcomes
from activities.storage import open_storage
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import RunError, cancel, decide, run_report, run_status, skip_stage, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_campaign, a_policy
from workflows.plan import OutcomeCounts
from workflows.policy import Policy
from workflows.run import RunReport, RunState, RunStatus, StageState

TWO = "[{workflow: premigrate, concurrency: 2}, {workflow: migrate}]"
WAITING = "[{workflow: premigrate}, {wait: 7d, unless_changed: true}, {workflow: migrate}]"
ASKING = "[{workflow: premigrate}, {workflow: migrate, approval: always}]"


async def started(client: Client, settings: Settings, policy: Policy) -> str:
    return await start_run(client, settings, policy, actor="ann", reason="a test")


async def ended(client: Client, run: str) -> RunReport:
    async with asyncio.timeout(90):
        return await run_report(client, run)


async def until(client: Client, run: str, word: str) -> RunStatus:
    async with asyncio.timeout(45):
        while word not in ((status := await run_status(client, run)).waits_for or ""):
            assert not status.state.final, status
            await asyncio.sleep(0.1)
    return status


def outcomes(settings: Settings, run: str) -> dict[str, FileOutcome]:
    rows = read_outcomes(open_storage(settings.storage), run, limit=10_000)
    return {row.path.rpartition("/")[2]: row for row in rows}


def told(settings: Settings, run: str, *events: str) -> list[tuple[str, dict[str, Any]]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [(record.event, record.body) for record in log.records(run=run) if record.event in events]
    finally:
        log.close()


def jobs_by_workflow(hub: LocalHub) -> dict[str, int]:
    return dict(Counter(job["workflow"] for job in hub.jobs()))


def poison(name: str, workflow: str, *, code: str = "EIO", times: int = 99) -> dict[str, Any]:
    action = {"kind": "path_fail", "times": times, "code": code, "message": "torn"}
    return {"name": f"{name}-{workflow}", "action": action, "match": {"file": f"*/{name}", "workflow": workflow}}


@pytest.mark.usefixtures("worker")
class TestACampaign:
    async def test_runs_its_stages_in_order_over_one_plan(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(12)
        run = await started(client, settings, a_campaign(TWO))
        report = await ended(client, run)
        assert (report.state, report.outcomes) == (RunState.SUCCEEDED, OutcomeCounts(done=12, bytes_done=1200))
        assert jobs_by_workflow(hub) == {"premigrate": 3, "migrate": 3}
        assert [(one.number, one.what, one.state, one.files) for one in report.stages] == [
            (1, "premigrate", StageState.ENDED, 12),
            (2, "migrate", StageState.ENDED, 12),
        ]
        assert [(record.number, record.stage, record.files) for record in report.rounds] == [(1, 1, 12), (2, 2, 12)]
        events = told(settings, run, "stage.started", "stage.ended")
        assert [(event, body["stage"], body["what"]) for event, body in events] == [
            ("stage.started", 1, "premigrate"),
            ("stage.ended", 1, "premigrate"),
            ("stage.started", 2, "migrate"),
            ("stage.ended", 2, "migrate"),
        ]

    async def test_takes_a_file_on_only_when_it_succeeded_and_each_ends_as_in_its_last_stage(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(10)
        hub.faults(
            poison("f00001.mov", "premigrate", code="EACCES"),
            poison("f00002.mov", "premigrate", times=1),
            poison("f00003.mov", "migrate", code="EACCES"),
        )
        run = await started(client, settings, a_campaign(TWO))
        report = await ended(client, run)
        assert report.state is RunState.FAILED
        assert report.outcomes == OutcomeCounts(done=8, failed={"permission_denied": 2}, bytes_done=800)
        rows = outcomes(settings, run)
        assert len(rows) == report.outcomes.total == 10
        assert [(one.number, one.stage, one.files) for one in report.rounds] == [(1, 1, 10), (2, 1, 1), (3, 2, 9)]
        assert (rows["f00001.mov"].round, rows["f00002.mov"].round, rows["f00003.mov"].round) == (1, 3, 3)

    async def test_takes_on_what_was_there_already(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(4)
        await ended(client, await started(client, settings, a_policy(workflow="premigrate")))
        report = await ended(client, await started(client, settings, a_campaign(TWO)))
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 4)
        assert jobs_by_workflow(hub) == {"premigrate": 1, "migrate": 1}

    async def test_waits_between_stages_and_skips_what_changed_meanwhile(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        files = hub.fill(6)
        run = await started(client, settings, a_campaign(WAITING, run="recheck: none"))
        status = await until(client, run, "the end of stage 2 (wait 1w)")
        assert (status.state, status.counts.done) == (RunState.WAITING, 6)
        assert [one.state for one in status.stages] == [StageState.ENDED, StageState.WAITING, StageState.AHEAD]
        files[3].write_bytes(b"somebody wrote here")
        os.utime(files[4])
        await skip_stage(client, run, actor="bob", reason="the week is over")
        report = await ended(client, run)
        assert report.state is RunState.SUCCEEDED
        assert report.outcomes == OutcomeCounts(done=4, skipped={"changed": 2}, bytes_done=400)
        assert [one.state for one in report.stages] == [StageState.ENDED, StageState.SKIPPED, StageState.ENDED]
        assert told(settings, run, "stage.skipped") == [("stage.skipped", {"stage": 2, "reason": "the week is over"})]

    async def test_that_is_cancelled_between_stages_calls_nothing_done(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(6)
        hub.faults(poison("f00001.mov", "premigrate", code="EACCES"))
        run = await started(client, settings, a_campaign(WAITING))
        await until(client, run, "the end of stage 2")
        await cancel(client, run, actor="bob", reason="enough")
        report = await ended(client, run)
        assert report.state is RunState.CANCELLED
        assert report.outcomes == OutcomeCounts(cancelled=5, failed={"permission_denied": 1})
        assert {row.message for row in outcomes(settings, run).values()} == {"cancelled by bob: enough", "torn"}

    async def test_asks_before_a_stage_and_goes_on_with_exactly_those_files(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(6)
        run = await started(client, settings, a_campaign(ASKING))
        status = await until(client, run, "approval of stage 2 (migrate) is always")
        assert status.approval is not None and status.plan is not None
        assert (status.approval.files, status.approval.bytes) == (6, 600)
        assert jobs_by_workflow(hub) == {"premigrate": 2}
        with pytest.raises(RunError, match="its plan is"):
            await decide(client, run, actor="bob", reason="", digest="f" * 64, approved=True)
        digest = status.approval.digest
        await decide(client, run, actor="bob", reason="looked", digest=digest, approved=True)
        report = await ended(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 6)

    async def test_whose_stage_is_rejected_ends_there(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        run = await started(client, settings, a_campaign(ASKING))
        status = await until(client, run, "approval of stage 2")
        assert status.approval is not None
        await decide(client, run, actor="bob", reason="not now", digest=status.approval.digest, approved=False)
        report = await ended(client, run)
        assert (report.state, report.outcomes) == (RunState.CANCELLED, OutcomeCounts(cancelled=3))
        assert {row.message for row in outcomes(settings, run).values()} == {"bob rejected stage 2 (migrate): not now"}

    async def test_whose_stage_nobody_approves_in_time_has_failed(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        run = await started(client, settings, a_campaign(ASKING, approval="{expires: 1s}"))
        report = await ended(client, run)
        assert (report.state, report.outcomes) == (RunState.FAILED, OutcomeCounts(cancelled=3))
        assert "nobody approved stage 2 (migrate) until " in (report.trouble or "")

    async def test_whose_last_stage_is_skipped_is_done_with_the_one_before(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        run = await started(client, settings, a_campaign(ASKING))
        await until(client, run, "approval of stage 2")
        await skip_stage(client, run, actor="bob")
        report = await ended(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 3)
        assert jobs_by_workflow(hub) == {"premigrate": 1}

    async def test_cannot_skip_what_is_at_work_or_over_or_not_there(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(3)
        hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 2}})
        run = await started(client, settings, a_campaign(WAITING))
        async with asyncio.timeout(30):
            while not (await run_progress(client, run)).in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        for number, why in (
            (None, r"stage 1 \(premigrate\) is at work: name a later one, up to 3, or cancel the run"),
            (4, "it has no stage 4, but 3 of them"),
        ):
            with pytest.raises(RunError, match=why):
                await skip_stage(client, run, actor="bob", number=number)
        await skip_stage(client, run, actor="bob", number=2)
        with pytest.raises(RunError, match="stage 2 is left out already"):
            await skip_stage(client, run, actor="bob", number=2)
        hub.faults()
        await cancel(client, run, actor="bob")
        assert (await ended(client, run)).outcomes.total == 3

    async def test_without_stages_has_none_to_skip(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(3)
        hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 2}})
        run = await started(client, settings, a_policy())
        with pytest.raises(RunError, match="its policy has no stages"):
            await skip_stage(client, run, actor="bob")
        await cancel(client, run, actor="bob")
        await ended(client, run)

    async def test_verifies_after_the_last_stage_alone(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        files = hub.fill(6)
        stages = "[{workflow: premigrate}, {workflow: migrate}]"
        run = await started(client, settings, a_campaign(stages, run="verify: after_last_stage"))
        report = await ended(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, len(files))
        assert told(settings, run, "files.verified") == [("files.verified", {"looked": 6, "misplaced": 0})]
