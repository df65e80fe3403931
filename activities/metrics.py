"""The counters and histograms of a process; no label ever holds a path, a run, a batch or a job.

What the audit records is counted as the notifier follows it: each record once over all workers, so that sums over the
workers are exact.
"""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Counter, Histogram

from activities.hub.states import FINAL_WORDS
from activities.ledger.events import Event
from activities.ledger.records import Stored
from workflows.plan import OutcomeCounts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

SUBMITS = Histogram(
    "orchestrator_submit_seconds", "Time from the wish to submit a batch to the job's number", buckets=_SECONDS
)
ACTIVITY_FAILURES = Counter("orchestrator_activity_failures", "Attempts of activities that failed", ["activity"])
ACTIVITY_RETRIES = Counter("orchestrator_activity_retries", "Further attempts of activities", ["activity"])
API_REQUESTS = Histogram(
    "orchestrator_api_request_seconds", "Time of one request to this API", ["method", "route", "status"],
    buckets=_SECONDS,
)  # fmt: skip

AUDITED = Counter("orchestrator_audited", "Records of the audit", ["event"])
RUNS_ENDED = Counter("orchestrator_runs_ended", "Runs that ended", ["state"])
STARTS = Counter("orchestrator_starts", "Starts that were wished for, by what became of them", ["outcome"])
JOBS_SUBMITTED = Counter("orchestrator_jobs_submitted", "Batches that the Hub took as jobs")
FILES_SUBMITTED = Counter("orchestrator_files_submitted", "Files in those batches")
BYTES_SUBMITTED = Counter("orchestrator_bytes_submitted", "Bytes in those batches")
JOBS_ENDED = Counter("orchestrator_jobs_ended", "Jobs that ended, by the Hub's word", ["state"])
FILES = Counter("orchestrator_files", "Files of jobs that ended, by outcome", ["outcome"])
BYTES_DONE = Counter("orchestrator_bytes_done", "Bytes of files that are done")
RETRY_ROUNDS = Counter("orchestrator_retry_rounds", "Rounds in which failed files are tried again")
RETRIED_FILES = Counter("orchestrator_retried_files", "Files that are tried again")
BREAKER_CHANGES = Counter("orchestrator_breaker_changes", "Changes of breakers", ["stand"])
NOTICES_GIVEN_UP = Counter("orchestrator_notices_given_up", "Notices that were given up", ["target"])


def count_record(record: Stored) -> None:
    """Count what a record tells of."""
    if record.event not in _EVENTS:
        return
    AUDITED.labels(record.event).inc()
    count = _COUNTS.get(Event(record.event))
    if count is not None:
        count(record.body)


def _job_submitted(body: Mapping[str, Any]) -> None:
    JOBS_SUBMITTED.inc()
    FILES_SUBMITTED.inc(int(body.get("files", 0)))
    BYTES_SUBMITTED.inc(int(body.get("bytes", 0)))


def _job_ended(body: Mapping[str, Any]) -> None:
    state = str(body.get("state"))
    JOBS_ENDED.labels(state if state in FINAL_WORDS else "other").inc()
    counts = OutcomeCounts.model_validate(body.get("counts") or {})
    FILES.labels("done").inc(counts.done)
    FILES.labels("skipped").inc(sum(counts.skipped.values()))
    FILES.labels("failed").inc(sum(counts.failed.values()))
    FILES.labels("cancelled").inc(counts.cancelled)
    BYTES_DONE.inc(counts.bytes_done)


def _round_started(body: Mapping[str, Any]) -> None:
    if int(body.get("number", 1)) > 1:
        RETRY_ROUNDS.inc()
        RETRIED_FILES.inc(int(body.get("files", 0)))


def _run_ended(body: Mapping[str, Any]) -> None:
    RUNS_ENDED.labels(str(body.get("state"))[:20]).inc()


def _given_up(body: Mapping[str, Any]) -> None:
    NOTICES_GIVEN_UP.labels(str(body.get("target"))[:63]).inc(int(body.get("notices", 0)))


def _start(outcome: str) -> Callable[[Mapping[str, Any]], None]:
    return lambda body: STARTS.labels(outcome).inc()


_COUNTS: dict[Event, Callable[[Mapping[str, Any]], None]] = {
    Event.JOB_SUBMITTED: _job_submitted,
    Event.JOB_ADOPTED: _job_submitted,
    Event.JOB_ENDED: _job_ended,
    Event.ROUND_STARTED: _round_started,
    Event.RUN_ENDED: _run_ended,
    Event.BREAKER_CHANGED: lambda body: BREAKER_CHANGES.labels(str(body.get("stand"))[:20]).inc(),
    Event.START_BEGUN: _start("begun"),
    Event.START_QUEUED: _start("queued"),
    Event.START_SKIPPED: _start("skipped"),
    Event.START_MISSED: _start("missed"),
    Event.NOTICES_GIVEN_UP: _given_up,
}
_EVENTS = frozenset(Event)
