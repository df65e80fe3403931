"""`verify: status` asks the Hub at the end of a run where its files are; what does not fit is told file by file."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from activities.outcomes import read_outcomes
from activities.storage import open_storage
from orchestrator.reporting.progress import run_progress
from orchestrator.runs import cancel, run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.plan import OutcomeCounts
from workflows.run import RunReport, RunState

VERIFY = ", verify: status"
LAST_IS_SLOW = {"name": "last", "action": {"kind": "slow", "seconds": 3}, "match": {"file": "*/f00005.mov"}}


async def ended(client: Client, run: str) -> RunReport:
    async with asyncio.timeout(60):
        return await run_report(client, run)


async def until_done(client: Client, run: str, files: int) -> None:
    async with asyncio.timeout(30):
        while (await run_progress(client, run)).counts.done < files:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def verified(settings: Settings, run: str) -> list[dict[str, Any]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [record.body for record in log.records(run=run, event="files.verified")]
    finally:
        log.close()


def failures(settings: Settings, run: str) -> dict[str, tuple[str | None, str]]:
    rows = read_outcomes(open_storage(settings.storage), run, outcome="failed")
    return {row.path.rpartition("/")[2]: (row.reason, row.message) for row in rows}


@pytest.mark.usefixtures("worker")
class TestARunThatVerifies:
    async def test_succeeds_when_every_file_is_where_it_should_be(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.fill(7)
        hub.faults({"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*/f00003.mov"}})
        run = await start_run(client, settings, a_policy(files=3, run=VERIFY), actor="ann", reason="a test")
        report = await ended(client, run)
        assert (report.state, report.outcomes.done, len(report.rounds)) == (RunState.SUCCEEDED, 7, 2)
        assert verified(settings, run) == [{"looked": 7, "misplaced": 0}]

    async def test_tells_of_each_file_that_was_taken_back_or_removed_before_its_end(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        files = hub.fill(6)
        hub.faults(LAST_IS_SLOW)
        policy = a_policy(files=2, concurrency=1, run=VERIFY)
        run = await start_run(client, settings, policy, actor="ann", reason="a test")
        await until_done(client, run, 4)
        paths = [{"path": f"/mmfs1/projects/a/{files[0].name}"}]
        hub.call("POST", "/api/file/workflow/", json={"site": "london", "workflow": "recall", "paths": paths})
        files[2].unlink()
        report = await ended(client, run)
        assert len(hub.jobs()) == 4
        assert report.state is RunState.FAILED
        assert report.outcomes == OutcomeCounts(done=4, failed={"unknown": 2}, bytes_done=400)
        assert failures(settings, run) == {
            "f00000.mov": ("unknown", "was done (migrate, job 1), but at the end of the run the file is premigrated"),
            "f00002.mov": ("unknown", "was done (migrate, job 2), but at the end of the run the file is gone"),
        }
        assert verified(settings, run) == [{"looked": 6, "misplaced": 2}]


@pytest.mark.usefixtures("worker")
async def test_a_run_that_was_cancelled_does_not_verify(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(6)
    hub.faults(LAST_IS_SLOW)
    run = await start_run(client, settings, a_policy(files=2, concurrency=1, run=VERIFY), actor="ann", reason="a test")
    await until_done(client, run, 4)
    await cancel(client, run, actor="bob")
    report = await ended(client, run)
    assert (report.state, report.outcomes.total) == (RunState.CANCELLED, 6)
    assert verified(settings, run) == []
