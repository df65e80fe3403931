"""What it costs to look at a long run, and to report on it.

    python -m benchmarks.reports [--jobs 100000]

Writes the records of a run with so many jobs into an audit of its own, then prints the seconds of the first look at its
jobs, of a further one, and of a whole report, and the most memory that a process of its own needed for the three.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from orchestrator.reporting.history import JobHistory
from orchestrator.reporting.report import make_report
from orchestrator.settings import Settings, load_settings

_RUN = "archive-1"
_COUNTS = {"done": 1000, "skipped": {}, "failed": {}, "cancelled": 0, "quarantined": 0, "bytes_done": 1000}


def write(settings: Settings, jobs: int) -> None:
    """Write the records of a run that is open."""
    files = jobs * 1000
    plan = {"digest": "d", "policy_digest": "p", "files": files, "bytes": files, "batches": jobs}
    begun = {"policy": "archive", "policy_digest": "p", "version": 1, "site": "london", "reason": "benchmark"}
    with closing(AuditLog(settings.audit.get_secret_value())) as log:
        log.append_many([_record("run.started", 0, **begun), _record("plan.made", 0, policy="archive", **plan)])
        for start in range(0, jobs, 1000):
            log.append_many([one for job in range(start, min(start + 1000, jobs)) for one in _job(job)])


def look(settings: Settings) -> None:
    """Look, look again, report; print what it took."""
    with closing(AuditLog(settings.audit.get_secret_value())) as log:
        history = JobHistory(log, _RUN)
        for name in ("first look", "next look"):
            began = time.perf_counter()
            history.refresh()
            print(f"{name:12}{time.perf_counter() - began:10.4f} s")
    began = time.perf_counter()
    report = make_report(settings, _RUN)
    print(f"{'report':12}{time.perf_counter() - began:10.4f} s for {report['jobs']['ended']:,} jobs")
    print(f"{'memory':12}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:10.0f} MiB")


def main() -> None:
    """Write, then look from a process that has written nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(state_dir=Path(folder))
        write(settings, jobs)
        child = multiprocessing.get_context("spawn").Process(target=look, args=(settings,))
        child.start()
        child.join()


def _job(job: int) -> list[AuditRecord]:
    place = {"site": "london", "job": job, "round": 1, "batch": job, "files": 1000}
    return [
        _record("job.submitted", job, **place, workflow="migrate", batch_digest="b" * 64, bytes=1000),
        _record("job.ended", job, **place, state="SUCCESS", counts=_COUNTS),
    ]


def _record(event: str, number: int, **body: Any) -> AuditRecord:
    return AuditRecord(event=event, actor="engine", run=_RUN, key=f"{_RUN}/{event}/{number}", body=body)


if __name__ == "__main__":
    main()
