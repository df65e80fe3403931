"""A real run leaves an audit that proves itself: signed, bound to its manifests, and telling of each file."""

import asyncio

from pydantic import SecretStr
from temporalio.client import Client

from activities.audit import AuditLog, Event
from activities.storage import DirectoryStorage, open_storage
from orchestrator.auditing.files import history_of
from orchestrator.auditing.proof import prove
from orchestrator.runs import run_report, start_run
from orchestrator.settings import Settings
from orchestrator.worker import working
from tests.e2e.audit_runs import new_key
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy


async def test_a_run_is_signed_at_its_end_and_its_rounds_are_bound_to_their_manifests(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(7)
    hub.faults({"name": "once", "action": {"kind": "path_fail", "times": 1}, "match": {"file": "*/f00003.mov"}})
    signing = settings.model_copy(update={"audit_key": SecretStr(new_key())})
    async with working(signing, client), asyncio.timeout(90):
        policy = a_policy(retry="{failed_files: {attempts: 2, wait: [1s]}}")
        run = await start_run(client, signing, policy, actor="ann@host", reason="the array is hot")
        report = await run_report(client, run)
    assert (report.outcomes.done, len(report.rounds)) == (7, 2)
    log, storage = AuditLog(signing.audit.get_secret_value()), open_storage(signing.storage)
    end = log.records(run=run, event=Event.RUN_ENDED)[0]
    proof = prove(log, storage, signing.public_keys)
    assert (proof.ok, proof.signed) == (True, end.seq), proof
    assert all(one.body["head_sha256"] for one in log.records(run=run, event=Event.ROUND_STARTED))

    path = next(path for paths in hub.paths_by_job().values() for path in paths if path.endswith("f00003.mov"))
    found = await asyncio.to_thread(history_of, signing, path)
    (story,) = found.runs
    assert (story.outcome, story.started_by, story.why) == ("done", "ann@host", "the array is hot")
    assert [one.outcome for one in story.tries] == ["failed", "done"]
    assert [one.job for one in story.tries] == sorted(one.job for one in story.tries if one.job)

    assert isinstance(storage, DirectoryStorage)
    part = next((storage.root / report.rounds[1].manifest).glob("part-*.parquet"))
    part.write_bytes(part.read_bytes() + b"x")
    (damage,) = prove(log, storage, signing.public_keys).damages
    assert (damage.run, damage.name.endswith(part.name), damage.why[:7]) == (run, True, "changed")
    log.close()
