"""Where a real run stands while it works on a real Hub: the end lies in the range, the figures agree with the end."""

import asyncio
from contextlib import closing

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from orchestrator.reporting.document import standing_document
from orchestrator.reporting.history import JobHistory
from orchestrator.reporting.report import make_report
from orchestrator.reporting.standing import Standing, Standings
from orchestrator.runs import pause, resume, run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.run import RunReport

TARGET = {
    "match": {"file": "*f?0?1*"},
    "action": {"kind": "path_fail", "code": "target_error", "message": "the target has no room in block 17"},
}


async def watched(client: Client, settings: Settings, run: str) -> tuple[list[Standing], RunReport]:
    with closing(Standings(client, settings, run)) as standings:
        async with asyncio.timeout(90):
            seen = [one async for one in standings.watch(every=0.2)]
    return seen, await run_report(client, run)


@pytest.mark.usefixtures("worker")
class TestARun:
    @pytest.mark.long
    async def test_ends_in_the_range_that_was_told_from_a_fifth_on(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.call("PUT", "/_local/throttle", json={"file_delay": 0.05, "bytes_per_second": 0})
        hub.fill(200)
        run = await start_run(client, settings, a_policy(files=4), actor="ann", reason="a test")
        seen, report = await watched(client, settings, run)
        assert report.state == "succeeded"
        ranges = [one for one in seen if one.eta.start is not None and one.progress.counts.total >= 40]
        assert len(ranges) >= 5, "it was looked at often enough to say something"
        for one in ranges:
            assert one.eta.start is not None and one.eta.end is not None
            assert one.eta.start <= report.finished <= one.eta.end, (one.at, one.eta, report.finished)
        early = seen[0]
        assert early.eta.start is None, "nothing is promised before anything is known"
        assert all(one.files_left + one.progress.counts.total == 200 for one in seen if one.progress.files)
        assert seen[-1].files_left == 0
        assert any(one.lately is not None and one.lately.files_per_second > 1 for one in seen)

    @pytest.mark.long
    async def test_tells_its_errors_and_what_a_pause_makes_of_its_end(
        self, client: Client, settings: Settings, hub: LocalHub
    ) -> None:
        hub.faults(TARGET)
        hub.call("PUT", "/_local/throttle", json={"file_delay": 0.05, "bytes_per_second": 0})
        hub.fill(80)
        run = await start_run(client, settings, a_policy(files=4, concurrency=2), actor="ann", reason="a test")
        with closing(Standings(client, settings, run)) as standings:
            async with asyncio.timeout(60):
                async for one in standings.watch(every=0.1):
                    if one.progress.counts.total >= 40:
                        break
            await pause(client, run, actor="bob", reason="lunch")
            held = await standings.look()
            assert held.eta.start is None
            assert held.eta.note is not None and held.eta.note.startswith("unknown while it is paused, then ")
            document = standing_document(held)
            assert document["state"] == "paused" and document["eta"]["from"] is None
            await resume(client, run, actor="bob", reason="back")
        seen, report = await watched(client, settings, run)
        failed = sum(report.outcomes.failed.values())
        assert failed > 0
        told = next(one for one in reversed(seen) if one.errors)
        assert told.errors[0].message == "the target has no room in block 17"
        assert told.errors[0].examples[0].startswith("/mmfs1/projects/")

        made = make_report(settings, run)
        assert made["reconciliation"]["adds_up"] and made["reconciliation"]["done"] == report.outcomes.done
        assert [(one["actor"], one["event"], one["why"]) for one in made["changes"]] == [
            ("bob", "run.paused", "lunch"),
            ("bob", "run.resumed", "back"),
        ]
        assert made["errors"][0]["files"] == failed
        with closing(AuditLog(settings.audit.get_secret_value())) as log:
            anew = JobHistory(log, run)
            anew.refresh()
        assert len(anew.jobs) == report.jobs
        assert len(anew.closed) == 1
