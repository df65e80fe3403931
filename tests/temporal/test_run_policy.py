"""Runs of policies on a real Temporal, a real worker and a real Hub."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import RunError, cancel, pause, resume, run_report, run_status, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.plan import OutcomeCounts
from workflows.policy import Policy
from workflows.run import RunReport, RunState


async def finished(client: Client, settings: Settings, policy: Policy) -> RunReport:
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(60):
        return await run_report(client, run)


async def until_in_flight(client: Client, run: str, count: int = 1) -> list[int]:
    async with asyncio.timeout(30):
        while True:
            jobs = [one.job for one in (await run_progress(client, run)).in_flight if one.job is not None]
            if len(jobs) >= count:
                return jobs
            await asyncio.sleep(0.1)


def slow(seconds: float = 60.0) -> dict[str, Any]:
    return {"name": "slow", "action": {"kind": "slow", "seconds": seconds}}


@pytest.mark.usefixtures("worker")
class TestARun:
    async def test_moves_every_selected_file_and_accounts_for_it(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        files = hub.fill(23)
        hub.fill(3, suffix="txt")
        contents = {path: path.read_bytes() for path in files}

        report = await finished(client, settings, a_policy())

        assert report.state is RunState.SUCCEEDED
        assert report.plan is not None
        assert (report.plan.files, report.plan.batches, report.jobs) == (23, 5, 5)
        assert report.outcomes == OutcomeCounts(done=23, bytes_done=2300)
        jobs = hub.paths_by_job()
        assert sorted(len(paths) for paths in jobs.values()) == [3, 5, 5, 5, 5]
        copies = {path.read_bytes() for path in hub.target.rglob("*") if path.is_file()}
        assert set(contents.values()) <= copies
        assert all(path.stat().st_size == 100 for path in files)

    async def test_of_nothing_succeeds_without_a_job(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        report = await finished(client, settings, a_policy())
        assert (report.state, report.outcomes.total, report.jobs) == (RunState.SUCCEEDED, 0, 0)

    async def test_skips_what_is_done_already(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(7)
        await finished(client, settings, a_policy())
        report = await finished(client, settings, a_policy())
        assert report.state is RunState.SUCCEEDED
        assert report.outcomes.skipped == {"already_done": 7}

    async def test_over_a_guard_is_refused_and_sends_nothing(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(7)
        report = await finished(client, settings, a_policy(guards="{max_files: 6}"))
        assert report.state is RunState.REFUSED
        assert "7 files" in (report.trouble or "")
        assert hub.jobs() == []

    async def test_over_a_guard_that_truncates_takes_the_first_files(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(7)
        report = await finished(client, settings, a_policy(guards="{max_files: 6, on_exceed: truncate}"))
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 6)

    async def test_fails_clearly_when_the_hub_lacks_its_workflow(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        report = await finished(client, settings, a_policy(workflow="migrat"))
        assert report.state is RunState.FAILED
        assert "no workflow migrat: did you mean `migrate`?" in (report.trouble or "")

    async def test_tries_failed_files_again_and_gives_up_at_the_end_of_the_ladder(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(20)
        fails = {"kind": "path_fail", "code": "target_error", "message": "bucket away"}
        hub.faults(
            {"name": "twice", "action": {**fails, "times": 2}, "match": {"file": "*/f0001?.mov"}},
            {"name": "ever", "action": fails, "match": {"file": "*/f00003.mov"}},
        )
        report = await finished(client, settings, a_policy(retry="{failed_files: {attempts: 4, wait: [1s]}}"))
        assert report.state is RunState.FAILED
        assert report.outcomes == OutcomeCounts(done=19, failed={"target_error": 1}, bytes_done=1900)
        assert [record.files for record in report.rounds] == [20, 11, 11, 1]

    async def test_uses_the_hubs_own_resubmit_when_told_so(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(10)
        hub.faults({"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*/f00003.mov"}})
        retry = "{failed_files: {attempts: 2, wait: [1s]}, resubmit: job}"
        report = await finished(client, settings, a_policy(retry=retry))
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 10)

    async def test_leaves_out_what_changed_since_the_plan(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        files = hub.fill(10)
        hub.faults(slow(1.0))
        run = await start_run(client, settings, a_policy(concurrency=1), actor="ann", reason="a test")
        await until_in_flight(client, run)
        files[-1].write_bytes(b"changed")
        files[-2].unlink()
        hub.faults()
        report = await run_report(client, run)
        assert report.outcomes.skipped == {"changed": 2}
        assert report.outcomes.done == 8

    async def test_refuses_a_second_run_of_the_same_policy(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(1)
        hub.faults(slow(3.0))
        policy = a_policy()
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await until_in_flight(client, run)
        with pytest.raises(RunError, match="is open"):
            await start_run(client, settings, policy, actor="bob", reason="again")
        await run_report(client, run)

    async def test_leaves_its_story_in_the_audit(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(6)
        report = await finished(client, settings, a_policy())
        log = AuditLog(settings.audit.get_secret_value())
        events = [record.event for record in log.records(run=report.run)]
        assert events[:4] == ["run.started", "run.preflight", "plan.made", "round.started"]
        assert events[-1] == "run.ended"
        assert (events.count("job.submitted"), events.count("job.ended")) == (2, 2)
        assert log.verify().ok


@pytest.mark.usefixtures("worker")
class TestSteering:
    @pytest.mark.long
    async def test_a_paused_run_begins_nothing_until_it_is_resumed(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(30)
        hub.faults(slow(0.2))
        run = await start_run(client, settings, a_policy(concurrency=1), actor="ann", reason="a test")
        await until_in_flight(client, run)
        assert (await pause(client, run, actor="bob", reason="lunch")).state is RunState.PAUSED
        await asyncio.sleep(3)
        before = len(hub.jobs())
        await asyncio.sleep(2)
        assert len(hub.jobs()) == before < 6
        assert (await run_status(client, run)).waits_for == "somebody to resume it: bob paused it (lunch)"
        hub.faults()
        await resume(client, run, actor="bob")
        report = await run_report(client, run)
        assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 30)

    async def test_a_cancelled_run_cancels_the_hubs_jobs_and_accounts_for_every_file(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(30)
        hub.faults(slow(0.5))
        run = await start_run(client, settings, a_policy(concurrency=2), actor="ann", reason="a test")
        await until_in_flight(client, run, 2)
        await cancel(client, run, actor="bob", reason="wrong policy")
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert report.state is RunState.CANCELLED
        assert report.outcomes.total == 30
        assert report.outcomes.cancelled >= 20
        assert all(job["state"] in ("SUCCESS", "CANCELLED", "PARTIAL") for job in hub.jobs())
        assert (await run_status(client, run)).state is RunState.CANCELLED
        with pytest.raises(RunError, match="over"):
            await pause(client, run, actor="bob")

    async def test_the_deadline_ends_a_run(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(10)
        hub.faults(slow(2))
        report = await finished(client, settings, a_policy(run=", deadline: 3s"))
        assert report.state is RunState.FAILED
        assert "deadline" in (report.trouble or "")
        assert report.outcomes.total == 10


@pytest.mark.usefixtures("worker")
class TestAJobThatSomebodyElseTouches:
    async def start(self, client: Client, settings: Settings, hub: LocalHub, **words: Any) -> tuple[str, int]:
        hub.fill(8)
        hub.faults(slow(2))
        run = await start_run(client, settings, a_policy(files=10, **words), actor="ann", reason="a test")
        return run, (await until_in_flight(client, run))[0]

    async def test_is_cancelled_there(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        run, job = await self.start(client, settings, hub)
        hub.call("POST", f"/api/jobs/{job}/cancel/")
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.total) == (RunState.FAILED, 8)
        assert report.outcomes.cancelled >= 2

    @pytest.mark.long
    async def test_is_deleted_there_and_its_files_are_tried_again(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        run, job = await self.start(client, settings, hub)
        hub.call("POST", f"/api/jobs/{job}/cancel/")
        hub.call("DELETE", f"/api/jobs/{job}/")
        hub.faults()
        async with asyncio.timeout(30):
            report = await run_report(client, run)
        assert (report.state, report.outcomes.total) == (RunState.SUCCEEDED, 8)

    async def test_is_paused_there_and_the_run_says_so(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        run, job = await self.start(client, settings, hub)
        hub.call("POST", f"/api/jobs/{job}/pause/")
        async with asyncio.timeout(30):
            while "paused in the Hub" not in ((await run_progress(client, run)).waits_for or ""):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        hub.faults()
        hub.call("POST", f"/api/jobs/{job}/resume/")
        await cancel(client, run, actor="ann")
        assert (await run_report(client, run)).outcomes.total == 8


@pytest.mark.usefixtures("worker")
async def test_a_stuck_job_is_cancelled_and_its_files_are_tried_again(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(4)
    hub.faults({"name": "stuck", "action": "stuck", "schedule": {"first": 1}})
    report = await finished(client, settings, a_policy(files=10, run=", stall_after: 3s"))
    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 4)
    assert len(report.rounds) == 2
