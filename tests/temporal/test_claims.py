"""Two runs never hold the same file: each is in exactly one job, and the other run says who has it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from temporalio.client import Client

from activities.claims import Claims, Place
from activities.outcomes import read_outcomes
from activities.storage import open_storage
from orchestrator.catalog import load_policy
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import cancel, run_report, start_run
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.policy import Policy
from workflows.run import RunReport, RunState

ONCE = "{failed_files: {attempts: 1}}"
TREE = """
version: 1
name: tree
site: london
select: {from: {discovery: recursive}, paths: [/mmfs1/projects/a, /mmfs1/projects/b]}
run: {workflow: migrate, batch: {files: 1}}
"""


def slow(seconds: float) -> dict[str, object]:
    """Let each file of a migration take so long."""
    return {"name": "slow", "action": {"kind": "slow", "seconds": seconds}, "match": {"workflow": "migrate"}}


async def begun(client: Client, settings: Settings, policy: Policy) -> str:
    return await start_run(client, settings, policy, actor="ann", reason="a test")


async def ended(client: Client, run: str, within: float = 60) -> RunReport:
    async with asyncio.timeout(within):
        return await run_report(client, run)


async def until_at_the_hub(client: Client, run: str, jobs: int) -> list[int]:
    async with asyncio.timeout(30):
        while True:
            found = [one.job for one in (await run_progress(client, run)).in_flight if one.job is not None]
            if len(found) >= jobs:
                return found
            await asyncio.sleep(0.1)


def jobs_a_path(hub: LocalHub) -> Counter[str]:
    return Counter(path for found in hub.paths_by_job().values() for path in found)


def state_of(hub: LocalHub, job: int) -> str:
    return str(next(one["state"] for one in hub.jobs() if one["id"] == job))


def messages(settings: Settings, run: str) -> set[str]:
    return {row.message for row in read_outcomes(open_storage(settings.storage), run, outcome="skipped", limit=1000)}


def held(settings: Settings) -> int:
    claims = Claims(settings.claims.get_secret_value())
    try:
        return claims.count()
    finally:
        claims.close()


def lapse(settings: Settings) -> None:
    """Let a day pass for whoever holds files."""
    engine = create_engine(settings.claims.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text("UPDATE claim_holders SET until_us = until_us - 86400000000"))
    engine.dispose()


@pytest.mark.usefixtures("worker")
class TestTwoRuns:
    async def test_over_the_same_files_at_once_share_them_out(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(60)
        hub.faults(slow(0.2))
        runs = [await begun(client, settings, a_policy(files=4, concurrency=8, retry=ONCE)) for _ in range(3)]
        reports = [await ended(client, run) for run in runs]
        assert [report.state for report in reports] == [RunState.SUCCEEDED] * 3
        assert [report.outcomes.total for report in reports] == [60] * 3
        assert sum(report.outcomes.done for report in reports) == 60
        assert jobs_a_path(hub) == dict.fromkeys(jobs_a_path(hub), 1)
        assert len(jobs_a_path(hub)) == 60
        assert {reason for report in reports for reason in report.outcomes.skipped} <= {"in_other_run", "already_done"}
        assert held(settings) == 0

    async def test_that_meet_say_which_run_has_the_file(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(10)
        hub.faults(slow(4))
        first = await begun(client, settings, a_policy(files=5, concurrency=1))
        await until_at_the_hub(client, first, 1)
        second = await begun(client, settings, a_policy(workflow="premigrate", files=10))
        report = await ended(client, second)
        assert (report.state, report.outcomes.skipped, report.outcomes.done) == (
            RunState.SUCCEEDED,
            {"in_other_run": 5},
            5,
        )
        assert messages(settings, second) == {f"run {first} holds it"}
        hub.faults()
        await ended(client, first)

    @pytest.mark.long
    async def test_one_of_which_goes_through_a_folder_leave_it_as_a_whole(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(2, folder="a")
        hub.fill(2, folder="b")
        hub.faults(slow(4))
        files = load_policy(
            TREE.replace("tree", "files")
            .replace(
                "from: {discovery: recursive}, paths: [/mmfs1/projects/a, /mmfs1/projects/b]",
                "from: {space: projects}, paths: [/mmfs1/projects/a]",
            )
            .encode(),
            "files.yaml",
        )
        first = await begun(client, settings, files)
        await until_at_the_hub(client, first, 1)
        report = await ended(client, await begun(client, settings, load_policy(TREE.encode(), "tree.yaml")))
        assert (report.outcomes.done, report.outcomes.skipped) == (1, {"in_other_run": 1})
        hub.faults()
        await ended(client, first)
        assert held(settings) == 0

    async def test_one_after_the_other_never_meet(self, client: Client, settings: Settings, hub: LocalHub) -> None:
        hub.fill(6)
        hub.faults(
            {"name": "one", "action": {"kind": "path_fail", "code": "target_error"}, "match": {"file": "*3.mov"}}
        )
        first = await ended(client, await begun(client, settings, a_policy(retry=ONCE)))
        assert first.outcomes.failed == {"target_error": 1}
        hub.faults()
        second = await ended(client, await begun(client, settings, a_policy()))
        assert (second.outcomes.done, second.outcomes.skipped) == (1, {"already_done": 5})

    async def test_one_of_which_was_cancelled_leave_no_claim(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(12)
        hub.faults(slow(0.5))
        run = await begun(client, settings, a_policy(files=3, concurrency=2))
        await until_at_the_hub(client, run, 2)
        await cancel(client, run, actor="bob")
        assert (await ended(client, run)).state is RunState.CANCELLED
        assert held(settings) == 0
        hub.faults()
        report = await ended(client, await begun(client, settings, a_policy()))
        assert "in_other_run" not in report.outcomes.skipped
        assert report.outcomes.total == 12


@pytest.mark.usefixtures("worker")
class TestATerminatedRun:
    @pytest.mark.long
    async def test_keeps_its_files_while_the_hub_works_on_them(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(8)
        hub.faults(slow(6))
        first = await begun(client, settings, a_policy(files=4, concurrency=1))
        job = (await until_at_the_hub(client, first, 1))[0]
        await client.get_workflow_handle(first).terminate("a test")
        await asyncio.sleep(1)
        report = await ended(client, await begun(client, settings, a_policy(workflow="premigrate", retry=ONCE)))
        assert report.outcomes.skipped == {"in_other_run": 4}, "its claim has not lapsed"
        lapse(settings)
        report = await ended(client, await begun(client, settings, a_policy(workflow="premigrate", retry=ONCE)))
        assert report.outcomes.skipped["in_other_run"] == 4, "its job is still at work"
        hub.faults()
        hub.call("POST", f"/api/jobs/{job}/cancel/")
        async with asyncio.timeout(30):
            while state_of(hub, job) not in ("CANCELLED", "PARTIAL"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        lapse(settings)
        report = await ended(client, await begun(client, settings, a_policy(workflow="premigrate", retry=ONCE)))
        assert "in_other_run" not in report.outcomes.skipped
        assert report.outcomes.total == 8
        assert held(settings) == 0

    async def test_whose_job_nobody_wrote_down_keeps_its_files_all_the_same(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        files = hub.fill(2)
        hub.faults(slow(6))
        paths = [f"/mmfs1/projects/a/{file.name}" for file in files]
        claims = Claims(settings.claims.get_secret_value())
        claims.take(Place("dead", 1, 0), "london", paths)
        claims.close()
        lapse(settings)
        body = {"site": "london", "workflow": "migrate", "paths": [{"path": path} for path in paths]}
        job = hub.call("POST", "/api/file/workflow/", json=body)["job"]
        report = await ended(client, await begun(client, settings, a_policy()))
        assert report.outcomes.skipped == {"in_other_run": 2}
        assert len(hub.jobs()) == 1
        hub.call("POST", f"/api/jobs/{job}/cancel/")

    async def test_that_had_sent_nothing_gives_its_files_to_the_next(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(2)
        claims = Claims(settings.claims.get_secret_value())
        claims.take(Place("dead", 1, 0), "london", ["/mmfs1/projects/a/f00000.mov", "/mmfs1/projects/a/f00001.mov"])
        claims.close()
        assert (await ended(client, await begun(client, settings, a_policy()))).outcomes.skipped == {"in_other_run": 2}
        lapse(settings)
        assert (await ended(client, await begun(client, settings, a_policy()))).outcomes.done == 2

    @pytest.mark.long
    async def test_gives_its_files_back_also_when_nobody_meets_them(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(4)
        hub.faults(slow(6))
        first = await begun(client, settings, a_policy(files=4, concurrency=1))
        job = (await until_at_the_hub(client, first, 1))[0]
        await client.get_workflow_handle(first).terminate("a test")
        await asyncio.sleep(1)
        lapse(settings)
        text = TREE.replace("/mmfs1/projects/a, /mmfs1/projects/b", "/mmfs1/projects/c").replace(
            "migrate", "premigrate"
        )
        elsewhere = load_policy(text.encode(), "elsewhere.yaml")
        hub.fill(1, folder="c")
        await ended(client, await begun(client, settings, elsewhere))
        assert held(settings) == 4, "its job is still at work"
        hub.faults()
        hub.call("POST", f"/api/jobs/{job}/cancel/")
        async with asyncio.timeout(30):
            while state_of(hub, job) not in ("CANCELLED", "PARTIAL"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        lapse(settings)
        async with asyncio.timeout(30):
            while held(settings):
                await ended(client, await begun(client, settings, elsewhere))
                await asyncio.sleep(0.5)


async def test_the_claims_of_a_worker_that_died_are_kept_by_the_next(
    client: Client, settings: Settings, hub: LocalHub, tmp_path: Path
) -> None:
    hub.fill(6)
    hub.faults(slow(1.5))
    async with working(settings, client):
        first = await begun(client, settings, a_policy(files=3))
        await until_at_the_hub(client, first, 2)
    assert held(settings) == 6
    hub.faults()
    async with working(settings, client):
        second = await begun(client, settings, a_policy(workflow="premigrate", retry=ONCE))
        report = await ended(client, second)
        assert report.outcomes.total == 6
        assert (await ended(client, first)).outcomes.done + report.outcomes.done >= 6
    assert jobs_a_path(hub).total() - report.outcomes.done == 6
    assert held(settings) == 0
