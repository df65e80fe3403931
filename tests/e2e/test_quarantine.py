"""The quarantine in either kind of database: tries in a row count once, and people see what is set aside."""

import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from temporalio.testing import ActivityEnvironment

from activities.audit import Audit, AuditLog
from activities.manifests import read_batch
from activities.quarantine import Failing, Failure, Quarantine, Which
from activities.quarantining import Quarantining, SetAsideRequest
from activities.settled import BatchOutcome, FileException, read_settled, settle_batch, write_skips
from activities.storage import open_storage
from orchestrator.releasing import release
from tests.unit.selection_fixtures import made_plan

pytest_plugins = ["tests.e2e.audit_fixtures"]

NASTY = "/a/" + "\udcff".replace("\udcff", "\U0010feff") + "x\0y'\"%\n" + "z" * 4_000


@pytest.fixture
def quarantine(url: str) -> Iterator[Quarantine]:
    opened = Quarantine(url)
    yield opened
    opened.close()


def fail(
    quarantine: Quarantine,
    place: tuple[str, int, int],
    *paths: str,
    after: int = 3,
    lasting: timedelta = timedelta(days=14),
    reason: str = "checksum",
) -> dict[str, Failing]:
    failures = [Failure(path, reason, f"{path[:20]} is bad") for path in paths]
    return quarantine.count(place, "london", failures, after=after, lasting=lasting)


def aside(quarantine: Quarantine, folder: Path, site: str = "london") -> set[str]:
    file = folder / f"aside-{time.monotonic_ns()}.parquet"
    count = quarantine.write_paths(site, file)
    found = set(pq.read_table(file)["path"].to_pylist()) if file.exists() else set()
    assert len(found) == count
    return found


def test_a_file_is_set_aside_by_its_last_try_over_several_runs(quarantine: Quarantine, tmp_path: Path) -> None:
    assert fail(quarantine, ("r1", 1, 0), "/a/1", "/a/2") == {}
    assert fail(quarantine, ("r1", 2, 0), "/a/1") == {}
    assert aside(quarantine, tmp_path) == set()
    found = fail(quarantine, ("r2", 1, 7), "/a/1", "/a/2")
    assert list(found) == ["/a/1"]
    one = found["/a/1"]
    assert (one.tries, one.reason, one.message, one.run, one.set_aside) == (3, "checksum", "/a/1 is bad", "r2", True)
    assert one.until is not None and one.until - one.last == timedelta(days=14)
    assert aside(quarantine, tmp_path) == {"/a/1"}
    assert aside(quarantine, tmp_path, "paris") == set()


def test_the_same_batch_counts_once_however_often_it_is_told(quarantine: Quarantine) -> None:
    for _ in range(5):
        assert fail(quarantine, ("r1", 1, 0), "/a/1") == {}
    for _ in range(3):
        assert list(fail(quarantine, ("r1", 2, 0), "/a/1", after=2)) == ["/a/1"]
    assert [one.tries for one in quarantine.find("/a/1")] == [2]
    assert fail(quarantine, ("r1", 1, 5), "/a/9", after=1) == {}, "an earlier batch came late"


def test_two_workers_that_tell_of_the_same_batches_count_each_once(quarantine: Quarantine, url: str) -> None:
    workers = [Quarantine(url) for _ in range(4)]

    def tell(worker: Quarantine) -> None:
        for batch in range(6):
            fail(worker, ("r1", 1, batch), f"/a/{batch}", after=9)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tell, workers))
    for worker in workers:
        worker.close()
    assert [one.tries for batch in range(6) for one in quarantine.find(f"/a/{batch}")] == [1] * 6


def test_a_success_sets_the_tries_back(quarantine: Quarantine) -> None:
    fail(quarantine, ("r1", 1, 0), "/a/1")
    fail(quarantine, ("r1", 2, 0), "/a/1")
    assert quarantine.succeeded("london", ["/a/1", "/a/never-failed"], run="r1", since_us=0) == []
    assert fail(quarantine, ("r2", 1, 0), "/a/1") == {}
    assert [one.tries for one in quarantine.find("/a/1", "london")] == [1]


def test_a_success_of_a_run_says_nothing_of_what_another_run_saw_after_it_began(quarantine: Quarantine) -> None:
    began_us = time.time_ns() // 1000 - 1_000_000
    fail(quarantine, ("r2", 1, 0), "/a/1", after=1)
    assert quarantine.succeeded("london", ["/a/1"], run="r1", since_us=began_us) == []
    assert [one.set_aside for one in quarantine.find("/a/1")] == [True]
    later = time.time_ns() // 1000 + 60_000_000
    assert quarantine.succeeded("london", ["/a/1"], run="r1", since_us=later) == ["/a/1"]


def test_it_ends_by_date_and_begins_again_with_the_next_failure(quarantine: Quarantine, tmp_path: Path) -> None:
    assert list(fail(quarantine, ("r1", 1, 0), "/a/1", after=1, lasting=timedelta(seconds=1))) == ["/a/1"]
    assert aside(quarantine, tmp_path) == {"/a/1"}
    time.sleep(1.1)
    assert aside(quarantine, tmp_path) == set()
    assert (list(quarantine.listed()), quarantine.tally()) == ([], {})
    assert [one.set_aside for one in quarantine.find("/a/1")] == [False]
    found = fail(quarantine, ("r2", 1, 0), "/a/1", after=2)
    assert [one.tries for one in found.values()] == [2]


def test_people_release_by_path_reason_or_all_and_the_audit_keeps_who_and_why(quarantine: Quarantine, url: str) -> None:
    fail(quarantine, ("r1", 1, 0), *(f"/a/{number}" for number in range(5)), after=1)
    fail(quarantine, ("r1", 1, 1), "/b/1", "/b/2", after=1, reason="timeout")
    assert quarantine.tally() == {("london", "checksum"): 5, ("london", "timeout"): 2}
    log = AuditLog(url.replace("audit.sqlite", "log.sqlite"))
    for which, released in (
        (Which(paths=("/a/3", "/a/none")), 1),
        (Which(site="paris"), 0),
        (Which(reason="timeout"), 2),
        (Which(), 4),
        (Which(), 0),
    ):
        assert release(quarantine, log, which, actor="ann@desk", reason="new disks") == released
    assert quarantine.find("/a/3") == [], "it starts with no tries"
    records = log.records(event="quarantine.released")
    assert [(one.actor, one.body["files"], one.body["reason"]) for one in records] == [
        ("ann@desk", 1, "new disks"),
        ("ann@desk", 2, "new disks"),
        ("ann@desk", 4, "new disks"),
    ]
    log.close()


def test_any_name_can_be_set_aside_and_found_again(quarantine: Quarantine, tmp_path: Path) -> None:
    failures = [Failure(NASTY, "hub_error", "a\0message")]
    quarantine.count(("r1", 1, 0), "london", failures, after=1, lasting=timedelta(days=1))
    assert aside(quarantine, tmp_path) == {NASTY}
    assert [(one.path, one.message) for one in quarantine.listed()] == [(NASTY, "amessage")]


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    quarantine = Quarantine(f"sqlite:///{tmp_path / 'none' / 'q.sqlite'}")
    assert (quarantine.tally(), list(quarantine.listed()), quarantine.find("/a")) == ({}, [], [])
    assert quarantine.write_paths("london", tmp_path / "p") == 0
    assert not (tmp_path / "none").exists()
    quarantine.close()


def test_fifty_thousand_files_pass_through_without_filling_the_memory(quarantine: Quarantine, tmp_path: Path) -> None:
    import resource

    many = 50_000
    for batch in range(many // 10_000):
        paths = [f"/mmfs1/projects/a-folder-with-a-long-name/{batch * 10_000 + number}" for number in range(10_000)]
        fail(quarantine, ("r1", 1, batch), *paths, after=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert quarantine.write_paths("london", tmp_path / "p.parquet", every=True) == many
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 20 << 20


@pytest.fixture
async def quarantining(tmp_path: Path, quarantine: Quarantine, url: str) -> AsyncIterator[Quarantining]:
    log = AuditLog(url.replace("audit.sqlite", "log.sqlite"))
    yield Quarantining(open_storage(tmp_path / "storage"), Audit(log), quarantine)
    log.close()


def a_round(quarantining: Quarantining, folder: Path) -> SetAsideRequest:
    """Settle a round of two batches in which three files failed, one of them before it was sent."""
    plan = made_plan(quarantining.storage, folder / "spill", [f"/a/{number}" for number in range(8)], batch_files=4)
    for number, failed, job in ((0, (1, 2), 7), (1, (), None)):
        batch = read_batch(quarantining.storage, plan.manifest, number)
        if job is None:
            write_skips(quarantining.storage, "r", 1, 1, [FileException(5, "failed", "no_such_file", "is gone")])
            failed = (4, 6, 7)
        files = tuple(FileException(one, "failed", "hub_error", "refused" if job is None else "torn") for one in failed)
        settle_batch(quarantining.storage, "r", 1, number, batch, BatchOutcome(job=job, files=files))
    return SetAsideRequest(
        run="r",
        round=1,
        manifest=plan.manifest,
        batches=plan.batches,
        site="london",
        after=1,
        lasting=timedelta(days=1),
    )


async def test_a_round_is_counted_once_and_told_the_same_however_often_its_activity_runs(
    quarantining: Quarantining, quarantine: Quarantine, tmp_path: Path
) -> None:
    request = a_round(quarantining, tmp_path)
    for _ in range(3):
        found = await ActivityEnvironment().run(quarantining.set_aside, request)
        assert found.reasons == {"hub_error": 2, "no_such_file": 1}
    assert {one.path: one.tries for one in quarantine.listed()} == {"/a/1": 1, "/a/2": 1, "/a/5": 1}
    ends = [read_settled(quarantining.storage, "r", 1, number) for number in (0, 1)]
    told = {one.ordinal: (one.outcome, one.reason) for end in ends if end is not None for one in end.files}
    assert {ordinal: end for ordinal, end in told.items() if end[0] == "quarantined"} == {
        1: ("quarantined", "hub_error"),
        2: ("quarantined", "hub_error"),
        5: ("quarantined", "no_such_file"),
    }
    assert {told[ordinal] for ordinal in (4, 6, 7)} == {("failed", "hub_error")}, "their batch was refused as a whole"


async def test_an_attempt_that_died_after_it_had_counted_is_finished_by_the_next(
    quarantining: Quarantining, quarantine: Quarantine, tmp_path: Path
) -> None:
    request = a_round(quarantining, tmp_path)
    failures = [Failure("/a/1", "hub_error", "torn"), Failure("/a/2", "hub_error", "torn")]
    quarantine.count(("r", 1, 0), "london", failures, after=1, lasting=timedelta(days=1))
    found = await ActivityEnvironment().run(quarantining.set_aside, request)
    assert found.reasons == {"hub_error": 2, "no_such_file": 1}
    assert [one.tries for one in quarantine.listed()] == [1, 1, 1]
