"""Where a run stands, as scripts read it: one document of a stable shape, described in docs/reports.md."""

from datetime import UTC, datetime
from typing import Any

from orchestrator.reporting.errors import ErrorKind
from orchestrator.reporting.standing import Pace, Standing
from workflows.plan import OutcomeCounts
from workflows.progress import RunProgress

STANDING = "orchestrator.standing/1"


def standing_document(standing: Standing) -> dict[str, Any]:
    """Write it; times are RFC 3339 in UTC, sizes bytes, ages seconds."""
    progress = standing.progress
    status, plan = progress.status, progress.status.plan
    return {
        "format": STANDING,
        "at": stamp(standing.at),
        "run_id": status.run,
        "policy": status.policy,
        "version": status.version,
        "state": str(progress.state),
        "phase": str(status.phase),
        "round": len(status.rounds) or None,
        "stages": [stage.model_dump(mode="json") for stage in status.stages],
        "waits_for": progress.waits_for,
        "approval": None if status.approval is None else status.approval.model_dump(mode="json"),
        "plan": plan and {"digest": plan.digest, "files": plan.files, "bytes": plan.bytes, "batches": plan.batches},
        "outcomes": outcomes_document(progress.counts),
        "files": {"done": progress.counts.done, **_others(progress.counts), "left": standing.files_left},
        "bytes": {"done": progress.counts.bytes_done, "left": standing.bytes_left},
        "rates": {"lately": _pace(standing.lately), "overall": _pace(standing.overall)},
        "eta": {
            "from": stamp(standing.eta.start),
            "likely": stamp(standing.eta.likely),
            "to": stamp(standing.eta.end),
            "note": standing.eta.note,
        },
        "share": round(progress.share, 4),
        "concurrency": status.concurrency,
        "adapts": None
        if status.bounds is None
        else {
            "min": status.bounds.least,
            "max": status.bounds.most,
            "last": status.adapted and status.adapted.model_dump(mode="json"),
        },
        "batches": {"begun": progress.begun, "of": status.rounds[-1].batches if status.rounds else None},
        "in_flight": _in_flight(progress, standing.at),
        "errors": errors_document(standing.errors),
        "started": stamp(status.started),
        "finished": stamp(status.finished),
    }


def outcomes_document(counts: OutcomeCounts) -> dict[str, Any]:
    """The number of files in each outcome, skipped and failed ones by reason."""
    return counts.model_dump(mode="json", exclude={"bytes_done"})


def errors_document(errors: tuple[ErrorKind, ...] | list[ErrorKind]) -> list[dict[str, Any]]:
    """The most frequent errors; paths are path text (`workflows/names.py`)."""
    return [
        {"reason": one.reason, "message": one.message, "files": one.files, "examples": list(one.examples)}
        for one in errors
    ]


def stamp(when: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC."""
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _others(counts: OutcomeCounts) -> dict[str, int]:
    return {
        "skipped": sum(counts.skipped.values()),
        "failed": sum(counts.failed.values()),
        "quarantined": counts.quarantined,
        "cancelled": counts.cancelled,
    }


def _pace(pace: Pace | None) -> dict[str, Any] | None:
    return None if pace is None else pace.model_dump()


def _in_flight(progress: RunProgress, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "job": one.job,
            "batch": one.batch,
            "round": one.round,
            "state": one.word,
            "progress": one.progress,
            "age_s": round((now - one.since).total_seconds(), 1),
            "trouble": one.trouble,
        }
        for one in progress.in_flight
    ]
