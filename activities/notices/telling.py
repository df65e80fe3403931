"""From a record of the audit to the notice that people get of it, if any."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from activities.ledger.events import Event
from activities.ledger.records import Stored
from activities.notices.notice import Kind, Notice, Urgency
from workflows.names import printable
from workflows.run import RunState

LONGEST_TEXT = 1_500
LONGEST_TITLE = 150


class _Said(NamedTuple):
    kind: Kind
    urgency: Urgency
    title: str
    text: str
    group: str | None = None
    about: str | None = None


def told(record: Stored, policy: str | None) -> Notice | None:
    """Give the notice of a record; `policy` is that of its run. None for what nobody needs to be told of."""
    say = _SAYINGS.get(Event(record.event)) if record.event in _EVENTS else None
    said = say(record, policy or "?") if say is not None else None
    if said is None:
        return None
    return Notice(
        key=record.key,
        kind=said.kind,
        urgency=said.urgency,
        group=f"{said.kind}/{said.group or policy or '-'}",
        title=one_line(said.title, LONGEST_TITLE),
        text=_lines(said.text),
        at=moment_of(record),
        policy=policy,
        run=record.run,
        about=said.about,
    )


def moment_of(record: Stored) -> datetime:
    """Read when a record was written."""
    return datetime.fromisoformat(record.at)


def one_line(text: str, longest: int) -> str:
    """Put text from anywhere on one harmless line of at most so many characters."""
    harmless = " ".join(printable(text).split())
    return harmless if len(harmless) <= longest else harmless[: longest - 1] + "…"


def _lines(text: str) -> str:
    kept = "\n".join(printable(line) for line in text.split("\n") if line.strip())
    return kept if len(kept) <= LONGEST_TEXT else kept[: LONGEST_TEXT - 1] + "…"


def _ended(record: Stored, policy: str) -> _Said | None:
    state, body = record.body.get("state"), record.body
    outcomes = body.get("outcomes") or {}
    done, failed = outcomes.get("done", 0), _failed(outcomes)
    if state == RunState.SUCCEEDED:
        text = f"Run {record.run} of {policy} succeeded: {done:,} files done."
        return _Said(Kind.SUCCEEDED, Urgency.INFO, f"{policy}: run succeeded", text)
    if state == RunState.FAILED:
        text = f"Run {record.run} of {policy} failed: {done:,} files done, {failed:,} failed.\n{_why(body, 'trouble')}"
        return _Said(Kind.FAILED, Urgency.WARNING, f"{policy}: run failed", f"{text}\n{_look(record)}")
    return None  # Refused and expired are told by records of their own; who cancels a run knows that it ends.


def _failed(outcomes: Any) -> int:
    counts = outcomes.get("failed", 0)
    return sum(counts.values()) if isinstance(counts, dict) else int(counts)


def _refused(record: Stored, policy: str) -> _Said:
    text = f"Run {record.run} of {policy} was refused; nothing has moved.\n{_why(record.body, 'why')}"
    return _Said(Kind.REFUSED, Urgency.WARNING, f"{policy}: run refused", f"{text}\n{_look(record)}")


def _approval_wanted(record: Stored, policy: str) -> _Said:
    body = record.body
    text = (
        f"Run {record.run} of {policy} waits for a person to agree to its plan: {_count(body.get('files'))} files, "
        f"{_count(body.get('bytes'))} bytes.\n{_why(body, 'why')}\nDigest {body.get('digest')}\n"
        f"Until {body.get('expires')}: `orchestrator approve {record.run}`"
    )
    return _Said(Kind.APPROVAL, Urgency.WARNING, f"{policy}: approval wanted", text)


def _approval_expired(record: Stored, policy: str) -> _Said:
    text = f"Nobody approved the plan of run {record.run} of {policy} in time; nothing has moved."
    return _Said(Kind.APPROVAL, Urgency.WARNING, f"{policy}: approval expired", f"{text}\n{_why(record.body, 'why')}")


def _paused(record: Stored, policy: str) -> _Said:
    text = f"{record.actor} paused run {record.run} of {policy}.\n{_why(record.body, 'reason')}"
    if record.body.get("until"):
        text += f"\nIt goes on by itself at {record.body['until']}."
    return _Said(Kind.PAUSED, Urgency.INFO, f"{policy}: run paused", text)


def _breaker(record: Stored, policy: str) -> _Said | None:
    if record.body.get("stand") != "open":
        return None
    text = f"The breaker of run {record.run} of {policy} opened: it sends nothing more.\n{_why(record.body, 'why')}"
    probe = record.body.get("probe_at")
    text += f"\nOne batch is tried at {probe}." if probe else "\nIt waits for a person to resume it."
    return _Said(Kind.PAUSED, Urgency.WARNING, f"{policy}: breaker open", f"{text}\n{_look(record)}")


def _unwell(record: Stored, policy: str) -> _Said:
    site = record.body.get("site")
    text = f"Run {record.run} of {policy} begins nothing more: the Hub at {site} is not well.\n"
    return _Said(Kind.PAUSED, Urgency.WARNING, f"{policy}: Hub unwell", text + _why(record.body, "why"))


def _pool(record: Stored, policy: str) -> _Said:
    body = record.body
    name = f"{body.get('site')}/{body.get('pool')}"
    text = f"Pool {name}: {body.get('why')}\nUsed {_count(body.get('used'))} of {_count(body.get('capacity'))} bytes."
    return _Said(Kind.CRITICAL, Urgency.URGENT, f"Pool {name} needs somebody", text, group=f"pool/{name}")


def _missed(record: Stored, policy: str) -> _Said:
    body = record.body
    text = f"{policy} did not run at {body.get('scheduled')} and does not run later ({body.get('text')}).\n"
    return _Said(Kind.LATE, Urgency.WARNING, f"{policy}: start missed", text + _why(body, "why"))


def _late(record: Stored, policy: str) -> _Said:
    body = record.body
    urgent = body.get("level") == "page"
    last = body.get("last_success") or "never since it was promised"
    text = (
        f"{policy} at {body.get('site')} must succeed every {body.get('mark')}. Last success: {last}.\n"
        f"`orchestrator status {policy}`"
    )
    return _Said(Kind.LATE, Urgency.URGENT if urgent else Urgency.WARNING, f"{policy}: late", text)


def _running_out(record: Stored, policy: str) -> _Said:
    names = ", ".join(map(str, record.body.get("schedules", ())))
    text = f"These schedules cannot be renewed and end at {record.body.get('ends')}: {names}\n"
    said = text + _why(record.body, "error")
    return _Said(Kind.CRITICAL, Urgency.URGENT, "Schedules run out", said, group="schedules")


def _given_up(record: Stored, policy: str) -> _Said | None:
    body, target = record.body, record.body.get("target")
    if body.get("about_notices"):
        return None  # Targets that are all down would tell each other for ever.
    text = f"{_count(body.get('notices'))} notices to {target} were given up, the oldest of {body.get('oldest')}.\n"
    said = text + _why(body, "error")
    return _Said(Kind.CRITICAL, Urgency.URGENT, f"Notices to {target} are lost", said, "notices", str(target))


def _why(body: dict[str, Any], field: str) -> str:
    why = body.get(field)
    return f"Why: {one_line(str(why), LONGEST_TEXT // 2)}" if why else ""


def _look(record: Stored) -> str:
    return f"`orchestrator runs show {record.run}`"


def _count(number: Any) -> str:
    return f"{int(number):,}" if isinstance(number, int | float) or str(number).isdecimal() else "?"


_SAYINGS: dict[Event, Callable[[Stored, str], _Said | None]] = {
    Event.RUN_ENDED: _ended,
    Event.RUN_REFUSED: _refused,
    Event.APPROVAL_WANTED: _approval_wanted,
    Event.APPROVAL_EXPIRED: _approval_expired,
    Event.RUN_PAUSED: _paused,
    Event.BREAKER_CHANGED: _breaker,
    Event.HUB_UNWELL: _unwell,
    Event.POOL_ALERT: _pool,
    Event.START_MISSED: _missed,
    Event.POLICY_LATE: _late,
    Event.SCHEDULES_RUNNING_OUT: _running_out,
    Event.NOTICES_GIVEN_UP: _given_up,
}
_EVENTS = frozenset(_SAYINGS)
