"""Every planned file ends in exactly one outcome, whatever happened to its batches."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activities.bulk import Bulk
from activities.closing import SCHEMA, outcome_writer
from activities.manifests import read_batch
from activities.outcomes import (
    BatchOutcome,
    Closed,
    CloseRequest,
    Ended,
    FileException,
    NextRound,
    RoundRef,
    Unreached,
    close_outcomes,
    next_round,
    read_outcomes,
    read_settled,
    read_skips,
    settle_batch,
    write_skips,
)
from activities.storage import Storage, open_storage
from tests.unit.selection_fixtures import made_plan, made_policy
from workflows.plan import OutcomeCounts, Plan

NAMES = [f"/a/{number:02}" for number in range(10)]


@pytest.fixture(params=["directory", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage" if request.param == "directory" else "memory:///")


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    return Bulk(256 << 20, tmp_path / "spill")


@pytest.fixture
def plan(storage: Storage, tmp_path: Path) -> Plan:
    return made_plan(storage, tmp_path / "spill", NAMES, batch_files=4)


def settle(
    storage: Storage, manifest: str, round_number: int, number: int, *files: FileException, job: int | None = 7
) -> OutcomeCounts:
    batch = read_batch(storage, manifest, number)
    return settle_batch(storage, "r", round_number, number, batch, BatchOutcome(job=job, files=files))


def again(storage: Storage, bulk: Bulk, manifest: str, ended: int, resubmit: str = "failed_files") -> RoundRef:
    policy = made_policy(4, retry={"resubmit": resubmit})
    return next_round(
        storage,
        bulk,
        NextRound(run="r", round=ended, manifest=manifest, retry=policy.retry, batch=policy.run.batch),
    )


def close(storage: Storage, bulk: Bulk, plan: Plan, *later: RoundRef, unreached: Unreached | None = None) -> Closed:
    rounds = ((1, plan.manifest, plan.batches), *((ref.round, ref.manifest, ref.batches) for ref in later))
    return close_outcomes(storage, bulk, CloseRequest(run="r", plan=plan.manifest, rounds=rounds, unreached=unreached))


def failed(ordinal: int, reason: str = "hub_error", message: str = "") -> FileException:
    return FileException(ordinal, "failed", reason, message)


def test_settling_counts_exactly_and_may_be_repeated(storage: Storage, plan: Plan) -> None:
    for _ in range(2):
        counts = settle(storage, plan.manifest, 1, 0, failed(1), FileException(2, "skipped", "busy"))
        assert counts == OutcomeCounts(done=2, skipped={"busy": 1}, failed={"hub_error": 1}, bytes_done=20)
    found = read_settled(storage, "r", 1, 0)
    assert found is not None
    assert (found.job, len(found.files)) == (7, 2)


def test_what_was_skipped_before_the_submit_is_taken_over(storage: Storage, plan: Plan) -> None:
    assert read_skips(storage, "r", 1, 0) is None
    write_skips(storage, "r", 1, 0, [FileException(0, "skipped", "changed", "grew")])
    assert settle(storage, plan.manifest, 1, 0, failed(3)).skipped == {"changed": 1}
    found = read_settled(storage, "r", 1, 0)
    assert found is not None
    assert [one.ordinal for one in found.files] == [0, 3]


def test_an_outcome_of_a_file_that_is_not_in_the_batch_is_refused(storage: Storage, plan: Plan) -> None:
    with pytest.raises(ValueError, match="not in batch 0"):
        settle(storage, plan.manifest, 1, 0, failed(9))
    with pytest.raises(ValueError, match="is no outcome"):
        settle(storage, plan.manifest, 1, 0, FileException(1, "success"))


def test_the_next_round_holds_what_failed_and_may_be_tried_again(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(1), failed(2, "no_such_file"), FileException(3, "skipped", "busy"))
    settle(storage, plan.manifest, 1, 1)
    settle(storage, plan.manifest, 1, 2, failed(8), failed(9))
    ref = again(storage, bulk, plan.manifest, 1)
    assert (ref.round, ref.files, ref.batches, ref.bytes) == (2, 3, 1, 30)
    batch = read_batch(storage, ref.manifest, 0)
    assert (batch.ordinals, batch.paths) == ([1, 8, 9], ["/a/01", "/a/08", "/a/09"])
    assert again(storage, bulk, plan.manifest, 1) == ref


def test_with_the_hubs_own_resubmit_batches_stay_with_their_jobs(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(1), job=41)
    settle(storage, plan.manifest, 1, 1, job=42)
    settle(storage, plan.manifest, 1, 2, failed(8), failed(9), job=43)
    ref = again(storage, bulk, plan.manifest, 1, "job")
    batches = [read_batch(storage, ref.manifest, number) for number in range(ref.batches)]
    assert [(batch.job, batch.ordinals) for batch in batches] == [(41, [1]), (43, [8, 9])]


def test_nothing_left_to_try_is_a_round_without_files(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    for number in range(3):
        settle(storage, plan.manifest, 1, number)
    assert again(storage, bulk, plan.manifest, 1).files == 0


def test_a_batch_that_failed_as_a_whole_is_tried_again(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    batch = read_batch(storage, plan.manifest, 2)
    outcome = BatchOutcome(rest=Ended(outcome="failed", reason="timeout"), files=(FileException(8, "done"),))
    assert settle_batch(storage, "r", 1, 2, batch, outcome).failed == {"timeout": 1}
    ref = again(storage, bulk, plan.manifest, 1)
    assert read_batch(storage, ref.manifest, 0).ordinals == [9]


def test_the_last_round_in_which_a_file_ended_decides(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(0), failed(1), job=1)
    settle(storage, plan.manifest, 1, 1, failed(4), failed(5, "permission_denied", "no \udcff"), job=2)
    settle(storage, plan.manifest, 1, 2, job=3)
    second = again(storage, bulk, plan.manifest, 1)
    settle(storage, second.manifest, 2, 0, failed(1), job=4)
    third = again(storage, bulk, second.manifest, 2)
    settle(storage, third.manifest, 3, 0, failed(1, "timeout", "too slow"), job=5)
    closed = close(storage, bulk, plan, second, third)
    assert closed.counts == OutcomeCounts(done=8, failed={"permission_denied": 1, "timeout": 1}, bytes_done=80)
    rows = read_outcomes(storage, "r")
    assert [row.path for row in rows] == NAMES
    assert [(row.round, row.job) for row in rows[:6]] == [(2, 4), (3, 5), (1, 1), (1, 1), (2, 4), (1, 2)]
    assert (rows[1].outcome, rows[1].reason, rows[1].message) == ("failed", "timeout", "too slow")


def test_a_batch_without_an_end_never_counts_as_done(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0)
    write_skips(storage, "r", 1, 1, [FileException(5, "skipped", "changed")])
    counts = close(storage, bulk, plan).counts
    assert counts == OutcomeCounts(done=4, skipped={"changed": 1}, failed={"unknown": 5}, bytes_done=40)
    cancelled = Unreached(outcome="cancelled", message="by ann")
    assert close(storage, bulk, plan, unreached=cancelled).counts.cancelled == 5


def test_a_retry_that_never_ran_leaves_the_failure_before_it(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(1))
    settle(storage, plan.manifest, 1, 1)
    settle(storage, plan.manifest, 1, 2)
    second = again(storage, bulk, plan.manifest, 1)
    closed = close(storage, bulk, plan, second, unreached=Unreached(outcome="cancelled"))
    assert closed.counts == OutcomeCounts(done=9, failed={"hub_error": 1}, bytes_done=90)


def test_a_run_that_was_stopped_before_its_first_batch_accounts_for_all(
    storage: Storage, bulk: Bulk, plan: Plan
) -> None:
    request = CloseRequest(run="r", plan=plan.manifest, rounds=(), unreached=Unreached(outcome="cancelled"))
    assert close_outcomes(storage, bulk, request).counts == OutcomeCounts(cancelled=10)


def test_closing_twice_gives_the_same_digest(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(1))
    assert close(storage, bulk, plan) == close(storage, bulk, plan)


def test_files_of_a_run_are_read_in_pages_by_outcome_and_reason(storage: Storage, bulk: Bulk, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 0, failed(1), failed(2, "timeout"), failed(3))
    settle(storage, plan.manifest, 1, 1, failed(5))
    settle(storage, plan.manifest, 1, 2)
    close(storage, bulk, plan)
    first = read_outcomes(storage, "r", outcome="failed", reason="hub_error", limit=2)
    assert [row.ordinal for row in first] == [1, 3]
    assert [row.ordinal for row in read_outcomes(storage, "r", outcome="failed", after=3)] == [5]
    assert read_outcomes(storage, "r", outcome="quarantined") == []


def test_the_file_of_a_batch_has_the_documented_form(storage: Storage, plan: Plan) -> None:
    settle(storage, plan.manifest, 1, 2, failed(8, message="m"))
    found = json.loads(storage.get("runs/r/round-1/batch-000002.json"))
    assert found["files"] == [[8, "failed", "hub_error", "m"]]
    assert (found["all"], found["job"], found["counts"]["done"]) == (None, 7, 1)


@pytest.mark.parametrize("files", [1, 1000, 10**6, 6 * 10**7, 10**8, 10**9])
def test_the_filters_of_the_paths_take_little_memory_however_many_files_there_are(files: int, tmp_path: Path) -> None:
    rows = min(files, 122_880)
    columns: dict[str, list[object]] = {field.name: [1] * rows for field in SCHEMA}
    columns |= {name: [""] * rows for name in ("rule", "outcome", "reason", "message")}
    columns["path"] = [str(row) for row in range(rows)]
    for writer in (
        outcome_writer(tmp_path / "with", files),
        pq.ParquetWriter(tmp_path / "without", SCHEMA, compression="zstd"),
    ):
        with writer:
            writer.write_table(pa.table(columns, schema=SCHEMA))
    sizes = [(tmp_path / name).stat().st_size for name in ("with", "without")]
    one_filter = sizes[0] - sizes[1]
    assert one_filter * -(-files // 122_880) < 70 << 20
    assert (one_filter > 10) == (files <= 10**8)
