"""Failed files that a person wants tried again: in a round of the open run, in a new run behind its end."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.client import Client

from activities.audit import AuditLog
from orchestrator.reporting.progress import run_progress
from orchestrator.retrying import failed_files, try_again
from orchestrator.runs import RunError, decide, retry_failed, run_report, run_status, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from tests.temporal.test_run_policy import slow
from workflows.plan import OutcomeCounts
from workflows.run import RunReport, RunState

DENIED = {
    "name": "denied",
    "action": {"kind": "path_fail", "times": 9, "code": "EACCES", "message": "the bucket is locked"},
    "match": {"file": "*/f0000[0-2].mov"},
}
TORN = {
    "name": "torn",
    "action": {"kind": "path_fail", "times": 9, "code": "EIO", "message": "torn"},
    "match": {"file": "*/f00003.mov"},
}


def bodies(settings: Settings, run: str, event: str) -> list[tuple[str, dict[str, Any]]]:
    log = AuditLog(settings.audit.get_secret_value())
    try:
        return [(record.actor, record.body) for record in log.records(run=run) if record.event == event]
    finally:
        log.close()


async def ended(client: Client, run: str) -> RunReport:
    async with asyncio.timeout(60):
        return await run_report(client, run)


@pytest.mark.usefixtures("worker")
async def test_in_an_open_run_they_go_into_a_further_round_and_nothing_is_sent_twice(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(16)
    hub.faults(DENIED, TORN, slow(0.4))
    policy = a_policy(files=2, concurrency=1, retry="{failed_files: {attempts: 1}}")
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(30):
        while sum((await run_progress(client, run)).counts.failed.values()) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    hub.faults(TORN)
    found = await try_again(client, settings, run, actor="bob", reason="it is unlocked", error="Bucket is LOCKED")
    assert (found.is_open, found.begun, found.files) == (True, run, {"permission_denied": 3})
    report = await ended(client, run)
    assert (report.state, report.outcomes.done, report.outcomes.failed) == (RunState.FAILED, 15, {"hub_error": 1})
    assert [(one.number, one.files, one.asked) for one in report.rounds] == [(1, 16, None), (2, 3, "bob")]
    [(actor, said)] = bodies(settings, run, "run.retry_asked")
    assert (actor, said) == ("bob", {"stage": 1, "error": "Bucket is LOCKED", "reason": "it is unlocked"})
    moved = hub.call("GET", "/api/jobstats/", params={"page_size": 0, "state": "processed"})["results"]
    assert set(Counter(row["path"] for row in moved).values()) == {1}
    with pytest.raises(RunError, match="is over"):
        await retry_failed(client, run, actor="bob")


@pytest.mark.usefixtures("worker")
async def test_a_word_ends_the_wait_of_the_ladder(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(6)
    hub.faults(TORN)
    policy = a_policy(retry="{failed_files: {attempts: 3, wait: [1h]}}")
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(30):
        while (await run_status(client, run)).next_try is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    hub.faults()
    await try_again(client, settings, run, actor="bob")
    report = await ended(client, run)
    assert (report.state, report.outcomes.done, len(report.rounds)) == (RunState.SUCCEEDED, 6, 2)


@pytest.mark.usefixtures("worker")
async def test_behind_its_end_a_new_run_takes_exactly_these_files_and_asks_as_its_policy_says(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(8)
    hub.faults(DENIED, TORN)
    policy = a_policy(retry="{failed_files: {attempts: 1}}", approval="{required: always}")
    first = await start_run(client, settings, policy, actor="ann", reason="a test")
    await approve(client, first)
    assert (await ended(client, first)).outcomes.failed == {"permission_denied": 3, "hub_error": 1}
    dry = await failed_files(client, settings, first)
    assert (dry.files, dry.begun) == ({"permission_denied": 3, "hub_error": 1}, None)
    with pytest.raises(RunError, match=r"no file of run .* failed with 'checksum'"):
        await try_again(client, settings, first, actor="bob", error="checksum")
    hub.faults()
    (hub.projects / "a" / "new.mov").write_bytes(b"arrived since")
    again = await try_again(client, settings, first, actor="bob", reason="unlocked", error="permission_denied")
    assert again.begun not in (None, first)
    await approve(client, again.begun or "")
    report = await ended(client, again.begun or "")
    assert (report.state, report.outcomes) == (RunState.SUCCEEDED, OutcomeCounts(done=3, bytes_done=300))
    assert report.plan is not None and report.plan.scope_files == 9
    [(actor, said)] = bodies(settings, report.run, "run.started")
    assert (actor, said["retries"], said["reason"]) == ("bob", first, f"the failed files of {first}: unlocked")


@pytest.mark.usefixtures("worker")
async def test_what_is_in_quarantine_stays_there(client: Client, settings: Settings, hub: LocalHub) -> None:
    hub.fill(8)
    hub.faults(DENIED)
    retry = "{failed_files: {attempts: 1}, quarantine: {after: 1, for: 1d}}"
    first = await start_run(client, settings, a_policy(retry=retry), actor="ann", reason="a test")
    assert (await ended(client, first)).outcomes.quarantined == 3
    found = await try_again(client, settings, first, actor="bob")
    assert (found.files, found.aside) == ({}, 3)
    report = await ended(client, found.begun or "")
    assert report.plan is not None
    assert (report.plan.files, report.plan.passed_over["quarantined"]) == (0, 3)


async def approve(client: Client, run: str) -> None:
    async with asyncio.timeout(30):
        while (wanted := (await run_status(client, run)).approval) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await decide(client, run, actor="eve", reason="looked at", digest=wanted.digest, approved=True)
