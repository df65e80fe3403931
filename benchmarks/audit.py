"""How fast the audit is written and verified, and what a durable commit costs.

    python -m benchmarks.audit [--url postgresql://...] [--records 100000]

Without a URL the database is a file of SQLite in a temporary folder, and then a PostgreSQL of its own where one is
installed; single appends to SQLite are measured with `synchronous` NORMAL as well, beside the FULL of the product.
"""

import argparse
import asyncio
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from activities.audit import Audit, AuditLog, AuditRecord, Event, record_key
from activities.ledger.finding import Wanted
from orchestrator.auditing.watching import AT_ONCE, ChainWatch
from tests.e2e.audit_databases import started

LANES = 50
BOUND = 10.0
"""Seconds in which 100,000 records verify."""


def told(number: int) -> AuditRecord:
    body = {"site": "a", "workflow": "migrate", "job": number, "round": 1, "batch": number}
    body |= {"batch_digest": "a" * 64, "files": 1000, "bytes": 123_456_789}
    key = record_key("r1", Event.JOB_SUBMITTED, 1, number)
    return AuditRecord(event=Event.JOB_SUBMITTED, actor="engine", run="r1", key=key, body=body)


def rate(name: str, count: int, do: Callable[[], object]) -> None:
    began = time.perf_counter()
    do()
    print(f"{name:44} {count / (time.perf_counter() - began):10,.0f} records/s", flush=True)


def one_by_one(log: AuditLog, first: int, count: int) -> None:
    for number in range(first, first + count):
        log.append(told(number))


async def from_lanes(log: AuditLog, first: int, count: int) -> None:
    audit = Audit(log)

    async def lane(number: int) -> None:
        for at in range(first + number, first + count, LANES):
            await audit.write(told(at))

    await asyncio.gather(*(lane(number) for number in range(LANES)))


def measure(url: str, records: int) -> None:
    log = AuditLog(url)
    rate("append, one a commit", 300, lambda: one_by_one(log, 0, 300))
    rate(f"Audit.write, {LANES} at once, commits shared", 5000, lambda: asyncio.run(from_lanes(log, 1000, 5000)))
    rest = records - 5300
    groups = [
        [told(number) for number in range(at, min(at + 500, 10_000 + rest))] for at in range(10_000, 10_000 + rest, 500)
    ]
    rate("append_many, 500 a commit", rest, lambda: [log.append_many(group) for group in groups])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    verdict = log.verify()
    took = time.perf_counter() - began
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert verdict.ok, verdict
    bound = BOUND * verdict.count / 100_000
    print(f"verify {verdict.count:,} records: {took:.2f} s (bound {bound:g} s), {more:.1f} MiB more memory", flush=True)
    assert took < bound, "too slow"
    watch = ChainWatch(log)
    watch.full()
    rate("a look at a chain that is watched", AT_ONCE, watch.look)
    began = time.perf_counter()
    found = log.find(Wanted(text="nowhere to be found"), limit=50)
    took = time.perf_counter() - began
    print(f"a text that stands in none of them, {len(found.records)} records: {took:.3f} s", flush=True)
    log.close()


def measure_normal(url: str) -> None:
    log = AuditLog(url)
    engine = log._database._engine
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
    rate("append, one a commit, synchronous NORMAL", 300, lambda: one_by_one(log, 0, 300))
    log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="address of an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--records", type=int, default=100_000)
    given = parser.parse_args()
    if given.url:
        measure(given.url, given.records)
        return
    print("SQLite", flush=True)
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        measure_normal(f"sqlite:///{Path(folder) / 'normal.sqlite'}")
        measure(f"sqlite:///{Path(folder) / 'audit.sqlite'}", given.records)
    if shutil.which("initdb") is None:
        print("PostgreSQL: not installed", flush=True)
        return
    print("PostgreSQL, which does not wait for the disk here", flush=True)
    with started() as server:
        measure(server.new_database(), given.records)


if __name__ == "__main__":
    main()
