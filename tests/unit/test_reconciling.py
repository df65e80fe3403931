"""The last look of a run writes down each file that is elsewhere, once, however often it is interrupted."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.audit import Audit, AuditLog
from activities.bulk import Bulk
from activities.manifests import read_batch
from activities.outcomes import BatchOutcome, Closed, CloseRequest, Ended, FileException, close_outcomes, settle_batch
from activities.reconciling import Reach, Reconciled, ReconcileRequest, Reconciliation
from activities.storage import Storage, open_storage
from tests.unit.hub_fixtures import Answer, answer, odd_hub
from tests.unit.selection_fixtures import made_plan
from workflows.plan import OutcomeCounts, Plan

NAMES = [f"/{number}/f" for number in range(8)]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage")


@pytest.fixture
def plan(storage: Storage, tmp_path: Path) -> Plan:
    """Four batches of two: all done; one failed and one done; skipped as a whole; never ended."""
    made = made_plan(storage, tmp_path / "spill", NAMES, batch_files=2)
    settle(storage, made, 0, BatchOutcome(job=1))
    settle(storage, made, 1, BatchOutcome(job=2, files=(FileException(2, "failed", "checksum", "bad"),)))
    settle(storage, made, 2, BatchOutcome(rest=Ended(outcome="skipped", reason="changed")))
    return made


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    opened = AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}")
    yield opened
    opened.close()


def settle(storage: Storage, plan: Plan, batch: int, outcome: BatchOutcome) -> None:
    settle_batch(storage, "r", 1, batch, read_batch(storage, plan.manifest, batch), outcome)


def closed(storage: Storage, plan: Plan, tmp_path: Path) -> Closed:
    request = CloseRequest(run="r", plan=plan.manifest, rounds=((1, plan.manifest, plan.batches),))
    return close_outcomes(storage, Bulk(256 << 20, tmp_path / "spill"), request)


def shown(asked: list[str], *elsewhere: str, status: int = 200) -> Answer:
    """A Hub with every file migrated but some; it notes for which it was asked."""

    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        path = request.query["path"]
        asked.append(path)
        where = "resident" if path in elsewhere else "migrated"
        found: dict[str, Any] = {"path": path, "type": "file", "size": 10, "status": where}
        return answer(found if status == 200 else {"detail": "busy"}, status)

    return script


async def reconcile(
    script: Answer, storage: Storage, log: AuditLog, plan: Plan, reach: Reach | None = None
) -> Reconciled:
    environment = ActivityEnvironment()
    if reach is not None:
        environment.info = dataclasses.replace(environment.info, heartbeat_details=[reach.model_dump()])
    rounds = ((1, plan.manifest, plan.batches),)
    request = ReconcileRequest(run="r", site="london", workflow="migrate", rounds=rounds)
    async with odd_hub(script) as odd, odd.hub() as hub:
        return await environment.run(Reconciliation(hub, storage, Audit(log)).reconcile, request)


async def test_only_files_that_count_as_done_are_looked_for(storage: Storage, log: AuditLog, plan: Plan) -> None:
    asked: list[str] = []
    assert await reconcile(shown(asked), storage, log, plan) == Reconciled(looked=3)
    assert sorted(asked) == ["/0/f", "/1/f", "/3/f"]
    assert log.records(run="r")[0].body == {"looked": 3, "misplaced": 0}


async def test_a_file_that_is_elsewhere_fails_and_the_others_keep_their_ends(
    storage: Storage, log: AuditLog, plan: Plan, tmp_path: Path
) -> None:
    before = closed(storage, plan, tmp_path).counts
    assert (before.done, before.total) == (3, 8)
    assert await reconcile(shown([], "/1/f"), storage, log, plan) == Reconciled(looked=3, misplaced=1)
    counts = closed(storage, plan, tmp_path).counts
    ends = {"checksum": 1, "unknown": 3}
    assert counts == OutcomeCounts(done=2, failed=ends, skipped={"changed": 2}, bytes_done=20)


async def test_what_was_written_before_an_interruption_is_not_written_twice(
    storage: Storage, log: AuditLog, plan: Plan, tmp_path: Path
) -> None:
    await reconcile(shown([], "/1/f", "/3/f"), storage, log, plan)
    once = closed(storage, plan, tmp_path)
    await reconcile(shown([], "/1/f", "/3/f"), storage, log, plan)
    again = closed(storage, plan, tmp_path)
    assert (once.counts, once.digest) == (again.counts, again.digest)
    assert len(log.records(run="r")) == 1


async def test_a_later_attempt_goes_on_where_the_last_one_was(storage: Storage, log: AuditLog, plan: Plan) -> None:
    asked: list[str] = []
    reach = Reach(looked=2, misplaced=1, round=1, batch=1)
    assert await reconcile(shown(asked), storage, log, plan, reach) == Reconciled(looked=3, misplaced=1)
    assert asked == ["/3/f"]


async def test_a_hub_that_fails_condemns_no_file_and_is_asked_again(
    storage: Storage, log: AuditLog, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(ApplicationError) as failure:
        await reconcile(shown([], status=503), storage, log, plan)
    assert not failure.value.non_retryable
    assert closed(storage, plan, tmp_path).counts.done == 3
