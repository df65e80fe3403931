"""The report of a run as one document, which Markdown, HTML and JSON show alike: docs/reports.md says what is in it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.storage import Missing, open_storage
from orchestrator.reporting.document import STANDING, errors_document, stamp, standing_document
from orchestrator.reporting.errors import bulk_in, errors_of, with_every_reason
from orchestrator.reporting.standing import Standing
from orchestrator.reporting.story import Story, read_story
from orchestrator.settings import Settings
from workflows.plan import OutcomeCounts

__all__ = ["REPORT", "NoStory", "make_report"]

REPORT = "orchestrator.report/1"
_PLAN = ("digest", "policy_digest", "files", "bytes", "batches", "rules", "passed_over", "truncated_by_guard")


class NoStory(LookupError):
    """The audit tells nothing of a run of this name: `orchestrator runs list` shows the runs."""


def make_report(settings: Settings, run: str, standing: Standing | None = None) -> dict[str, Any]:
    """Make the report of a run out of the audit and the storage; of an open one with where it stands.

    Raises NoStory where the audit does not know the run.
    """
    log = AuditLog(settings.audit.get_secret_value())
    try:
        story = read_story(log, run)
    finally:
        log.close()
    if story.started is None:
        raise NoStory(f"the audit tells nothing of a run {run}: `orchestrator runs list` shows the runs")
    counts = _counts(story, standing)
    return {
        "format": REPORT,
        "made": stamp(datetime.now(UTC)),
        **_head(story, standing),
        "plan": None if story.plan is None else {key: story.plan.get(key) for key in _PLAN},
        "reconciliation": _reconciliation(story, counts, is_open=story.ended is None),
        "rounds": [
            {
                "number": one.body["number"],
                "stage": one.body.get("stage", 1),
                "files": one.body["files"],
                "batches": one.body["batches"],
                "started": one.at,
            }
            for one in story.rounds
        ],
        "jobs": {"ended": story.jobs, "states": dict(story.job_states.most_common())},
        "throughput": _throughput(story),
        "errors": errors_document(_errors(settings, story, counts, standing)),
        "slowest_jobs": [
            {
                "job": one.job,
                "batch": one.batch,
                "round": one.round,
                "state": one.state,
                "files": one.files,
                "bytes": one.bytes,
                "took_s": round(one.took, 3),
            }
            for one in story.slowest
        ],
        "approvals": [_said(one) for one in story.approvals],
        "changes": [_said(one) for one in story.changes],
        "changes_left_out": story.changes_in_all - len(story.changes),
        "audit": _range(story),
        "standing": None if standing is None else _standing(standing),
    }


def _head(story: Story, standing: Standing | None) -> dict[str, Any]:
    assert story.started is not None
    begun, ended = story.started.body, story.ended.body if story.ended is not None else {}
    state = ended.get("state") or (str(standing.progress.state) if standing is not None else "open")
    started = ended.get("started") or story.started.at
    until = _moment(ended["finished"]) if ended.get("finished") else datetime.now(UTC)
    return {
        "run_id": story.run,
        "policy": begun["policy"],
        "policy_digest": begun["policy_digest"],
        "version": begun["version"],
        "site": begun.get("site"),
        "actor": story.started.actor,
        "reason": begun["reason"],
        "state": state,
        "final": story.ended is not None,
        "trouble": ended.get("trouble"),
        "started": stamp(_moment(started)),
        "finished": stamp(_moment(ended["finished"])) if ended.get("finished") else None,
        "took_s": round((until - _moment(started)).total_seconds(), 3),
        "outcomes_digest": ended.get("outcomes_digest"),
    }


def _counts(story: Story, standing: Standing | None) -> OutcomeCounts:
    if story.ended is not None:
        return OutcomeCounts.model_validate(story.ended.body["outcomes"])
    return standing.progress.counts if standing is not None else OutcomeCounts()


def _reconciliation(story: Story, counts: OutcomeCounts, *, is_open: bool) -> dict[str, Any]:
    """Set every planned file against its outcome: whatever is not accounted for is left, or at the end a difference."""
    planned = int(story.plan["files"]) if story.plan is not None else 0
    began = bool(story.rounds)
    left = max(0, planned - counts.total) if is_open or not began else 0
    difference = planned - counts.total - left
    return {
        "planned": planned,
        "done": counts.done,
        "skipped": counts.skipped,
        "failed": counts.failed,
        "quarantined": counts.quarantined,
        "cancelled": counts.cancelled,
        "left": left,
        "difference": difference,
        "adds_up": difference == 0,
        "bytes_done": counts.bytes_done,
        "line": _line(planned, counts, left, difference, began=began, is_open=is_open),
    }


def _line(planned: int, counts: OutcomeCounts, left: int, difference: int, *, began: bool, is_open: bool) -> str:
    if planned and not began and not is_open:
        return f"{planned:,} planned, none sent: nothing began"
    parts = [f"{counts.done:,} done"]
    others = (
        (sum(counts.skipped.values()), "skipped"),
        (sum(counts.failed.values()), "failed"),
        (counts.quarantined, "quarantined"),
        (counts.cancelled, "cancelled"),
        (left, "left"),
    )
    parts += [f"{count:,} {word}" for count, word in others if count]
    missing = f"{difference:,} {'has' if difference == 1 else 'have'} no outcome"
    odd = missing if difference > 0 else f"{-difference:,} too many"
    verdict = f"does not add up: {odd}" if difference else "adds up"
    return f"{planned:,} planned = {' + '.join(parts)}: {verdict}" + (", so far" if is_open else "")


def _throughput(story: Story) -> dict[str, Any]:
    bins = story.throughput.bins()
    return {
        "bin_s": story.throughput.width,
        "bins": [
            {"at": stamp(datetime.fromtimestamp(at, UTC)), "files": files, "bytes": size, "failed": failed}
            for at, files, size, failed in bins
        ],
    }


def _errors(settings: Settings, story: Story, counts: OutcomeCounts, standing: Standing | None) -> Any:
    if story.ended is None:
        return with_every_reason(standing.errors if standing is not None else (), counts.failed)
    if not counts.failed:
        return []
    bulk = bulk_in(settings.spill_dir, int(settings.selection_memory))
    try:
        return errors_of(open_storage(settings.storage), bulk, story.run)
    except Missing:
        return with_every_reason((), counts.failed)


def _said(record: Stored) -> dict[str, Any]:
    """A word of a person or of the engine: when, who, what, and the rest of the record in words of its own."""
    body = dict(record.body)
    why = body.pop("reason", None) or body.pop("why", None) or ""
    return {"at": record.at, "actor": record.actor, "event": str(record.event), "why": why, "details": _small(body)}


def _small(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value not in (None, "", [], {})}


def _range(story: Story) -> dict[str, Any]:
    assert story.first is not None and story.last is not None
    return {
        "records": story.records,
        "first": story.first.seq,
        "last": story.last.seq,
        "last_hash": story.last.hash,
    }


def _standing(standing: Standing) -> dict[str, Any]:
    whole = standing_document(standing)
    kept = ("at", "phase", "round", "waits_for", "files", "bytes", "rates", "eta", "concurrency", "batches")
    return {"format": STANDING, **{key: whole[key] for key in kept}}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
