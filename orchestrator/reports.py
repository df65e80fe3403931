"""How a run ended, as scripts read it: the report with its jobs out of the audit."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from orchestrator.settings import Settings
from workflows.plan import OutcomeCounts
from workflows.run import RunReport

MOST_JOBS = 1000
"""So many jobs are listed in a document; a campaign has a hundred thousand."""

_PAGE = 5000
_BEGUN = (Event.JOB_SUBMITTED, Event.JOB_ADOPTED)


def jobs_of(settings: Settings, run: str) -> list[dict[str, Any]]:
    """The newest Hub jobs of a run in the order of their submission: id, batch, round, state and number of files."""
    with closing(AuditLog(settings.audit.get_secret_value())) as log:
        begun, ended = (
            [one for event in events for one in log.records(run=run, event=event, limit=MOST_JOBS, newest=True)]
            for events in (_BEGUN, (Event.JOB_ENDED,))
        )
    jobs: dict[int, dict[str, Any]] = {}
    for record in sorted(begun, key=lambda one: one.seq)[-MOST_JOBS:]:
        jobs.setdefault(record.body["job"], _begun(record.body))
    for record in ended:
        if record.body["job"] in jobs or len(begun) < MOST_JOBS:  # Others were submitted before those that are listed.
            jobs[record.body["job"]] = _ended(record.body, jobs.get(record.body["job"]))
    return list(jobs.values())


def each_job(settings: Settings, run: str) -> Iterator[dict[str, Any]]:
    """Every Hub job of a run as it ended, in that order, and then those that are open; memory is that of the open ones.

    A job whose end was recorded before the audit heard of its submission comes with its end.
    """
    jobs: dict[int, dict[str, Any]] = {}
    after = 0
    with closing(AuditLog(settings.audit.get_secret_value())) as log:
        while records := log.records(run=run, after=after, limit=_PAGE):
            after = records[-1].seq
            for record in records:
                if record.event in _BEGUN:
                    jobs.setdefault(record.body["job"], _begun(record.body))
                elif record.event == Event.JOB_ENDED:
                    yield _ended(record.body, jobs.pop(record.body["job"], None))
    yield from jobs.values()


def document(report: RunReport, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The last document of `run --wait --json`; `all_jobs` says how many there were, of which the newest are listed."""
    plan = report.plan
    return {
        "run_id": report.run,
        "policy": report.policy,
        "version": report.version,
        "state": str(report.state),
        "plan": None
        if plan is None
        else {"digest": plan.digest, "files": plan.files, "bytes": plan.bytes, "batches": plan.batches},
        "passed_over": {} if plan is None else plan.passed_over,
        "outcomes": outcomes(report.outcomes),
        "jobs": jobs,
        "all_jobs": report.jobs,
        "started": _stamp(report.started),
        "finished": _stamp(report.finished),
        "trouble": report.trouble,
    }


def outcomes(counts: OutcomeCounts) -> dict[str, Any]:
    """The number of files in each outcome."""
    return {
        "done": counts.done,
        "skipped": counts.skipped,
        "failed": counts.failed,
        "quarantined": counts.quarantined,
        "cancelled": counts.cancelled,
    }


def _begun(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": body["job"], "batch": body["batch"], "round": body["round"], "state": None, "files": body["files"]}


def _ended(body: dict[str, Any], begun: dict[str, Any] | None) -> dict[str, Any]:
    entry = begun or {"id": body["job"], "batch": body["batch"], "round": body["round"], "files": 0}
    files = entry["files"] or body.get("files") or 0
    return {**entry, "state": body["state"], "files": files}


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
