"""A plan and all that is known of it as one JSON document for scripts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.cli import show
from workflows.names import to_path
from workflows.running import stage_said

if TYPE_CHECKING:
    from activities.plan_report import PlannedFile
    from orchestrator.previews import Preview


def document(found: "Preview", first: list[tuple[str, int | None]], out: Path | None) -> dict[str, Any]:
    """Give everything: exact paths, sizes in bytes, lengths of time in seconds, times as in RFC 3339."""
    plan, report = found.plan, found.report
    return {
        "policy": found.policy.name,
        "site": found.policy.one_site,
        "workflow": found.policy.run.hub_workflow,
        "stages": [stage_said(step) for step in found.policy.run.stages],
        "policy_digest": plan.policy_digest,
        "digest": plan.digest,
        "manifest": plan.manifest,
        "made": show.stamp(found.made),
        "as_of": show.stamp(plan.as_of),
        "files": plan.files,
        "bytes": plan.bytes,
        "batches": plan.batches,
        "rules": [rule.model_dump(mode="json") for rule in report.rules],
        "idle_rules": list(report.idle_rules),
        "idle_excludes": list(report.idle_excludes),
        "owners": [owner.model_dump(mode="json") for owner in report.owners],
        "all_owners": report.all_owners,
        "passed_over": plan.passed_over,
        "passed_over_bytes": {word: amount.bytes for word, amount in report.passed_over.items()},
        "unknown_attributes": {name: counts.model_dump() for name, counts in report.unknown.items()},
        "scope": {"files": plan.scope_files, "bytes": plan.scope_bytes},
        "inventory": _inventory(found),
        "largest": [_file(file) for file in report.largest],
        "oldest": [_file(file) for file in report.oldest],
        "oldest_by": report.age_by,
        "freed": {"bytes": report.freed, "files_of_unknown_usage": report.freed_unknown},
        "pool": _pool(found),
        "estimate": _estimate(found),
        "there_already": report.there_already.model_dump(),
        "truncated_by_guard": plan.truncated_by_guard,
        "refused_by": found.standing.refused_by,
        "approval": _approval(found),
        "enabled": found.standing.enabled,
        "doubts": list(found.doubts),
        "diff": _difference(found),
        "out": None if out is None else str(out),
        "first": [{"path": to_path(path), "size": size} for path, size in first],
    }


def _inventory(found: "Preview") -> dict[str, Any]:
    inventory = found.inventory
    return {
        "name": inventory.name,
        "taken": show.stamp(inventory.taken_at),
        "age_seconds": round((found.ready - inventory.taken_at).total_seconds(), 1),
        "files": inventory.files,
        "bytes": inventory.bytes,
        "directories": inventory.directories,
        "complete": inventory.complete,
        "problems": inventory.problems,
        "examples": list(inventory.examples),
    }


def _file(file: "PlannedFile") -> dict[str, Any]:
    told = file.model_dump(mode="json", exclude={"age_us"})
    return {**told, "path": to_path(file.path), "age_at": _stamp(file.age_us)}


def _stamp(micros: int | None) -> str | None:
    try:
        return None if micros is None else show.stamp(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))
    except OverflowError:
        return None


def _pool(found: "Preview") -> dict[str, Any] | None:
    pool = found.pool
    if pool is None:
        return None
    return {
        "name": pool.name,
        "assumed_because": pool.why,
        "capacity": pool.capacity,
        "used": pool.used,
        "percent": round(pool.percent, 2),
        "percent_after": round(pool.percent_after(found.report.freed), 2),
        "upper": pool.upper,
        "lower": pool.lower,
    }


def _estimate(found: "Preview") -> dict[str, Any] | None:
    guess = found.estimate
    if guess is None:
        return None
    return {
        "runs": guess.runs,
        "seconds": round(guess.seconds, 1),
        "shortest": round(guess.shortest, 1),
        "longest": round(guess.longest, 1),
    }


def _approval(found: "Preview") -> dict[str, Any] | None:
    stands = found.standing
    if stands.asks is None:
        return None
    return {
        "why": stands.asks,
        "by_the_policy_itself": stands.asks_nobody,
        "expires_seconds": stands.expires.total_seconds(),
        "not_by_owner": stands.not_by_owner,
    }


def _difference(found: "Preview") -> dict[str, Any] | None:
    if found.difference is None:
        return None
    told = found.difference.diff.model_dump(mode="json")
    for kind in ("added", "removed", "same"):
        told[kind]["examples"] = [to_path(text) for text in told[kind]["examples"]]
    return {"against": found.difference.words, "manifest": found.difference.manifest, **told}
