"""The report of a period: who did what, out of the audit alone, as one document; `period_sections` says how to read it.

The document has a stable shape (`orchestrator.audit-report/1`): times are RFC 3339 in UTC, sizes bytes.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from activities.ledger.events import BODY, Event
from activities.ledger.finding import Wanted
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from orchestrator.auditing.proof import Proof
from orchestrator.reporting import figures
from orchestrator.reporting.document import stamp
from orchestrator.reporting.figures import clock, line, size
from orchestrator.reporting.sections import Section, Table
from workflows.plan import OutcomeCounts

PERIOD = "orchestrator.audit-report/1"
MOST = 2_000
"""Of more runs or words the first ones are left out, and counted."""

_PAGE = 2000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORDS = (Event.PLAN_APPROVED, Event.PLAN_REJECTED, Event.APPROVAL_EXPIRED, Event.RUN_REFUSED)
_CHANGES = (Event.POLICY_APPLIED, Event.POLICY_REMOVED)
_TOLD_ELSEWHERE = frozenset({*_WORDS, *_CHANGES, Event.RUN_STARTED, Event.START_WISHED, Event.EVENT_RECEIVED})
_BY_ITSELF = frozenset({"engine", "temporal", "schedule", "threshold", "event", "after"})
"""Actors of records that are no person: the engine, and the kinds of triggers that start runs."""


def period_report(
    log: AuditLog, since: datetime | None, until: datetime | None, proof: Proof | None = None
) -> dict[str, Any]:
    """Report on what was recorded from `since` on and before `until`, with the proof of the chain where one was made.

    May raise AuditUnavailable.
    """
    found = _Period()
    for record in _records(log, Wanted(since=since, until=until)):
        found.take(record)
    return {
        "format": PERIOD,
        "made": stamp(datetime.now(UTC)),
        "since": stamp(since),
        "until": stamp(until),
        "records": found.records,
        "first": None if found.first is None else found.first.seq,
        "last": None if found.last is None else found.last.seq,
        "last_hash": None if found.last is None else found.last.hash,
        "proof": None if proof is None else _proof(proof),
        "people": found.people(),
        "runs": list(found.runs.values())[-MOST:],
        "runs_left_out": max(0, len(found.runs) - MOST),
        "approvals": [_said(one) for one in found.words[-MOST:]],
        "approvals_left_out": max(0, len(found.words) - MOST),
        "policies": [_said(one) for one in found.changes[-MOST:]],
        "policies_left_out": max(0, len(found.changes) - MOST),
        "actions": [_said(one) for one in found.actions[-MOST:]],
        "actions_left_out": max(0, len(found.actions) - MOST),
        "events": dict(sorted(found.events.items())),
    }


class _Period:
    """What was recorded in the period, taken in one pass."""

    def __init__(self) -> None:
        self.records = 0
        self.first: Stored | None = None
        self.last: Stored | None = None
        self.runs: dict[str, dict[str, Any]] = {}
        self.words: list[Stored] = []
        self.changes: list[Stored] = []
        self.actions: list[Stored] = []
        self.events: Counter[str] = Counter()
        self._people: dict[str, Counter[str]] = {}

    def take(self, record: Stored) -> None:
        """Take the next record."""
        self.first, self.last, self.records = self.first or record, record, self.records + 1
        event = record.event
        self.events[event] += 1
        person = record.actor not in _BY_ITSELF and event != Event.EVENT_RECEIVED  # whose actor is its source
        if person:
            self._people.setdefault(record.actor, Counter())[event] += 1
        if record.run is not None:
            self._take_of_run(record.run, record)
        if event in _WORDS:
            self.words.append(record)
        elif event in _CHANGES:
            self.changes.append(record)
        elif person and event not in _TOLD_ELSEWHERE:
            self.actions.append(record)

    def people(self) -> list[dict[str, Any]]:
        """Give each person with how often they did what."""
        return [{"actor": actor, "events": dict(sorted(did.items()))} for actor, did in sorted(self._people.items())]

    def _take_of_run(self, name: str, record: Stored) -> None:
        event, body = record.event, record.body
        if event not in (Event.RUN_STARTED, Event.PLAN_MADE, Event.PLAN_APPROVED, Event.RUN_REFUSED, Event.RUN_ENDED):
            return
        run = self.runs.setdefault(name, _blank(name))
        if event == Event.RUN_STARTED:
            run |= {"policy": body.get("policy"), "version": body.get("version"), "site": body.get("site")}
            run |= {"started": record.at, "actor": record.actor, "reason": body.get("reason")}
        elif event == Event.PLAN_MADE:
            run |= {name: body.get(name) for name in ("digest", "files", "bytes")}
        elif event == Event.PLAN_APPROVED:
            run["approved_by"] = [*run["approved_by"], record.actor]
        elif event == Event.RUN_REFUSED:
            run["state"] = "refused"
        else:
            run |= {"policy": body.get("policy"), "state": body.get("state"), "ended": record.at}
            run |= {"outcomes": body.get("outcomes"), "outcomes_digest": body.get("outcomes_digest")}


def _blank(name: str) -> dict[str, Any]:
    empty = ("policy", "version", "site", "started", "actor", "reason", "digest", "files", "bytes", "state", "ended")
    return {"run_id": name, **dict.fromkeys(empty), "approved_by": [], "outcomes": None, "outcomes_digest": None}


def _records(log: AuditLog, wanted: Wanted) -> Iterator[Stored]:
    after: int | None = 0
    while after is not None:
        page = log.find(wanted, after=after, limit=_PAGE)
        yield from page.records
        after = page.newer


def _said(record: Stored) -> dict[str, Any]:
    body = dict(record.body)
    why = body.pop("reason", None) or body.pop("why", None) or ""
    known = BODY[Event(record.event)] if record.event in set(Event) else {}
    order = [*known, *sorted(set(body) - set(known))]
    details = {name: body[name] for name in order if body.get(name) not in (None, "", [], {})}
    return {
        "seq": record.seq,
        "at": record.at,
        "actor": record.actor,
        "event": record.event,
        "run": record.run,
        "why": why,
        "details": details,
    }


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "ok": proof.ok,
        "records": proof.chain.count,
        "last_hash": proof.chain.head,
        "broken_at": proof.broken_at,
        "signed": proof.signed,
        "signed_at": proof.signed_at,
        "files": proof.files,
        "wrong": [*([proof.chain.why] if proof.chain.why else []), *(one.why for one in proof.doubts)]
        + [f"{one.name}: {one.why}" for one in proof.damages],
    }


# How people read it.


def period_title(report: dict[str, Any]) -> str:
    """Give the report's title."""
    since, until = report["since"], report["until"]
    begin = f"from {clock(since)}" if since else "from the beginning"
    return f"Audit {begin}" + (f" to {clock(until)}" if until else f" to {clock(report['made'])}")


def period_sections(report: dict[str, Any]) -> Iterator[Section]:
    """Give the report's sections, which Markdown and HTML show alike."""
    yield Section(table=Table(("", ""), (False, False), list(_head(report)), facts=True))
    yield _people(report)
    yield _runs(report)
    yield _words("Approvals and refusals", report["approvals"], report["approvals_left_out"])
    yield _words("Policies", report["policies"], report["policies_left_out"])
    yield _words("What else people did", report["actions"], report["actions_left_out"])
    rows = [(event, f"{count:,}") for event, count in report["events"].items()]
    if rows:
        yield Section("Records by event", table=Table(("Event", "Records"), (False, True), rows))


def _head(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    count = report["records"]
    yield "Records", f"{count:,}" + (f", {report['first']:,} to {report['last']:,}" if count else "")
    proof = report["proof"]
    if proof is not None:
        yield "Audit", _verdict(proof)
        if proof["signed"] is not None:
            yield "Signed", f"up to record {proof['signed']:,} at {clock(proof['signed_at'])}"
    if report["last_hash"]:
        yield "Last hash", report["last_hash"]


def _verdict(proof: dict[str, Any]) -> str:
    if proof["ok"]:
        files = f", and {proof['files']:,} files of manifests and outcomes" if proof["files"] is not None else ""
        return f"whole: {proof['records']:,} records{files}"
    return "NOT WHOLE: " + "\n".join(map(line, proof["wrong"]))


def _people(report: dict[str, Any]) -> Section:
    if not report["people"]:
        return Section("People", ("Nobody did anything by hand.",))
    rows = [
        (line(one["actor"]), ", ".join(f"{event} {count:,}" for event, count in one["events"].items()))
        for one in report["people"]
    ]
    return Section("People", table=Table(("Who", "What, and how often"), (False, False), rows))


def _runs(report: dict[str, Any]) -> Section:
    if not report["runs"]:
        return Section("Runs", ("None.",))
    rows = []
    for run in report["runs"]:
        counts = OutcomeCounts.model_validate(run["outcomes"] or {})
        began = (
            f"{clock(run['started'])} by {line(run['actor'])}: {line(run['reason'] or '')}" if run["started"] else ""
        )
        rows.append(
            (
                line(run["run_id"]),
                line(run["policy"] or "") + (f" v{run['version']}" if run["version"] else ""),
                began,
                run["state"] or "open",
                "" if run["files"] is None else f"{run['files']:,}",
                "" if run["bytes"] is None else size(run["bytes"]),
                f"{counts.done:,}",
                f"{sum(counts.failed.values()):,}",
                ", ".join(map(line, run["approved_by"])),
            )
        )
    columns = ("Run", "Policy", "Started", "State", "Files", "Bytes", "Done", "Failed", "Approved by")
    right = (False, False, False, False, True, True, True, True, False)
    return Section("Runs", _left_out(report["runs_left_out"]), Table(columns, right, rows))


def _words(title: str, words: list[dict[str, Any]], left_out: int) -> Section:
    if not words:
        return Section(title, ("None.",))
    of_runs = any(one["run"] for one in words)
    rows = [
        (
            clock(one["at"]),
            line(one["actor"]),
            one["event"],
            *([line(one["run"] or "")] if of_runs else []),
            line(one["why"]),
            figures.changed({name: _short(value) for name, value in one["details"].items()}),
        )
        for one in words
    ]
    columns = ("When", "Who", "What", *(["Run"] if of_runs else []), "Why", "Details")
    return Section(title, _left_out(left_out), Table(columns, (False,) * len(columns), rows))


def _short(value: Any) -> Any:
    """Show the beginning of a digest: whole ones are in the JSON, and in `audit show`."""
    return f"{value[:12]}…" if isinstance(value, str) and _DIGEST.fullmatch(value) else value


def _left_out(count: int) -> tuple[str, ...]:
    return (f"The first {count:,} are left out.",) if count else ()
