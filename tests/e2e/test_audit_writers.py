"""Many writers of one audit at once: threads, processes, and the activities of a worker."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.audit import Audit, AuditLog, AuditRecord, AuditUnavailable, Event

pytest_plugins = ["tests.e2e.audit_fixtures"]

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from activities.audit import AuditLog, AuditRecord
url, me, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log, won = AuditLog(url), 0
for number in range(count):
    log.append(AuditRecord(event="job.ended", actor=me, run=me, key=f"{me}/{number}", body={"n": number}))
    won += log.append(AuditRecord(event="job.adopted", actor=me, key=f"claim/{number}", body={"by": me})).same
print(won)
"""


@pytest.fixture
def log(url: str) -> Iterator[AuditLog]:
    opened = AuditLog(url)
    yield opened
    opened.close()


def told(key: str, **body: object) -> AuditRecord:
    return AuditRecord(event=Event.JOB_ENDED, actor="worker", run="r", key=key, body=body)


def test_processes_that_begin_with_an_empty_database_never_fork_the_chain(log: AuditLog, url: str) -> None:
    count = 25
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"writer-{number}", str(count)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    ended = [(writer.communicate(timeout=100), writer.returncode) for writer in writers]
    assert [code for _, code in ended] == [0] * 4, ended
    assert sum(int(out) for (out, _), _ in ended) == count, "each claim has one winner"
    verdict = log.verify()
    assert (verdict.ok, verdict.count) == (True, 5 * count)


def test_threads_of_one_process_never_fork_the_chain(log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda number: log.append(told(f"k{number % 150}", n=number % 150)), range(300)))
    assert len({record.hash for record in stored}) == 150
    assert (log.verify().ok, log.verify().count) == (True, 150)


async def test_a_retried_activity_writes_once(log: AuditLog) -> None:
    audit, record = Audit(log), told("k", n=1)
    first = await ActivityEnvironment().run(audit.record, record)
    again = await ActivityEnvironment().run(Audit(log).record, record)
    assert first == again
    assert (first.seq, first.same) == (1, True)
    other = await ActivityEnvironment().run(audit.record, told("k", n=2))
    assert (other.seq, other.same) == (1, False)
    assert log.verify().count == 1


async def test_activities_at_once_share_commits_and_each_gets_its_own_record(log: AuditLog) -> None:
    audit = Audit(log)
    receipts = await asyncio.gather(*(audit.record(told(f"k{number}", n=number)) for number in range(300)))
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 301))
    written = {record.key: record.hash for record in log.records()}
    assert [receipt.hash for receipt in receipts] == [written[f"k{number}"] for number in range(300)]


async def test_a_record_that_cannot_be_written_fails_alone_and_for_ever(log: AuditLog) -> None:
    audit = Audit(log)
    results = await asyncio.gather(
        audit.record(told("good")),
        audit.record(told("bad", n=float("nan"))),
        audit.record(told("good too")),
        return_exceptions=True,
    )
    assert isinstance(results[1], ApplicationError)
    assert (results[1].type, results[1].non_retryable) == ("BadRecord", True)
    assert [record.key for record in log.records()] == ["good", "good too"]


async def test_a_waiter_that_is_cancelled_takes_nobody_with_it(log: AuditLog) -> None:
    audit = Audit(log)
    writes = [asyncio.create_task(audit.write(told(f"k{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    writes[0].cancel()
    writes[7].cancel()
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, asyncio.CancelledError) for result in ended) == 2
    assert (await audit.write(told("later")))[0].same
    assert log.verify().ok


async def test_an_outage_fails_every_waiter_with_an_error_that_may_be_retried(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'audit.sqlite'}"
    log = AuditLog(url, wait=0.1)
    await asyncio.to_thread(log.append, told("first"))
    audit = Audit(log)
    with AuditLog(url)._database.writing():
        ended = await asyncio.gather(*(audit.write(told(f"k{number}")) for number in range(5)), return_exceptions=True)
    assert all(isinstance(result, AuditUnavailable) for result in ended)
    assert (await audit.write(told("k0")))[0].seq == 2


async def test_a_slow_database_does_not_block_the_loop(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'audit.sqlite'}"
    log, other = AuditLog(url), AuditLog(url)
    await asyncio.to_thread(log.append, told("first"))
    audit = Audit(log)
    with other._database.writing():
        write = asyncio.create_task(audit.write(told("second")))
        longest, last = 0.0, time.monotonic()
        for _ in range(30):
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert not write.done()
    assert (await write)[0].seq == 2
    assert longest < 0.25
