"""How a run ended, as scripts read it: the report with its jobs out of the audit."""

from datetime import UTC, datetime
from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from orchestrator.settings import Settings
from workflows.plan import OutcomeCounts
from workflows.run import RunReport

_PAGE = 5000


def jobs_of(settings: Settings, run: str) -> list[dict[str, Any]]:
    """The Hub jobs of a run in the order of their submission: id, batch, round, state and number of files."""
    jobs: dict[int, dict[str, Any]] = {}
    log = AuditLog(settings.audit.get_secret_value())
    try:
        for event in (Event.JOB_SUBMITTED, Event.JOB_ADOPTED, Event.JOB_ENDED):
            after = 0
            while records := log.records(run=run, event=event, after=after, limit=_PAGE):
                after = records[-1].seq
                for record in records:
                    _note(jobs, event, record.body)
    finally:
        log.close()
    return list(jobs.values())


def document(report: RunReport, jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The last document of `run --wait --json`."""
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


def _note(jobs: dict[int, dict[str, Any]], event: Event, body: dict[str, Any]) -> None:
    job = body["job"]
    if event is Event.JOB_ENDED:
        blank = {"id": job, "batch": body["batch"], "round": body["round"], "state": None, "files": 0}
        entry = jobs.setdefault(job, blank)
        entry["state"] = body["state"]
        entry["files"] = entry["files"] or sum(body["counts"].values())
        return
    entry = {"id": job, "batch": body["batch"], "round": body["round"], "state": None, "files": body["files"]}
    jobs.setdefault(job, entry)


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
