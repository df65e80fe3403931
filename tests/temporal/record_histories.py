"""Records the histories that `test_replay.py` replays: `pytest tests/temporal/record_histories.py`."""

import asyncio

import pytest
from temporalio.client import Client

from orchestrator.runs import cancel, decide, pause, resume, run_progress, run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from tests.temporal.test_replay import HISTORIES, STORIES

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
    if story in ("paused", "cancelled"):
        hub.faults({"name": "slow", "action": {"kind": "slow", "seconds": 0.3}})
    policy = a_policy(concurrency=2, guards=GUARDS.get(story, "{}"), approval=APPROVAL.get(story, "{}"))
    run = await start_run(client, settings, policy, actor="ann", reason="a recording")
    segments: set[str] = set()
    async with asyncio.timeout(60):
        while not (progress := await run_progress(client, run)).state.final:
            segments.update(progress.status.open_segments)
            if (wanted := progress.status.approval) is not None and story != "expired":
                agrees = story == "approved"
                await decide(client, run, actor="bob", reason="looked at", digest=wanted.digest, approved=agrees)
            if progress.counts.total and story == "paused":
                await pause(client, run, actor="bob", reason="lunch")
                await asyncio.sleep(2)
                await resume(client, run, actor="bob")
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


async def _write(client: Client, workflow: str, name: str) -> None:
    history = await client.get_workflow_handle(workflow).fetch_history()
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{name}.json").write_text(history.to_json() + "\n")
