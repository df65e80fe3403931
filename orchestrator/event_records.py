"""Received events as the audit tells of them: what each said, which routes wanted it, and the runs it started."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from workflows.events import CloudEvent

_LOOKED_AT = 5_000


def event_records(log: AuditLog, *, limit: int, unmatched: bool = False, kind: str | None = None) -> list[Any]:
    """Give the newest received events, the newest first; the newest thousands are looked through."""
    if not log.is_there():
        return []
    found = [
        one
        for one in reversed(log.records(event=Event.EVENT_RECEIVED, newest=True, limit=_LOOKED_AT))
        if (kind is None or one.body["type"] == kind) and not (unmatched and one.body["matched"])
    ][:limit]
    starts = _starts(log)
    return [_shown(one, starts) for one in found]


def find_event(log: AuditLog, name: str) -> list[Any]:
    """Give the received events with this id; those of several sources may have it, and SOURCE/ID says which."""
    if not log.is_there():
        return []
    records = log.records(event=Event.EVENT_RECEIVED, newest=True, limit=_LOOKED_AT)
    starts = _starts(log)
    return [
        _shown(one, starts) for one in records if name in (one.body["id"], f"{one.body['source']}/{one.body['id']}")
    ]


def replayed(shown: dict[str, Any]) -> CloudEvent:
    """Make a new event that says what an old one said, and names it."""
    event = CloudEvent.model_validate(shown)
    attributes = {**event.attributes, "replayof": event.id}
    return event.model_copy(update={"id": f"replay-{uuid4().hex[:12]}", "attributes": attributes})


def _starts(log: AuditLog) -> Sequence[Stored]:
    """Give the last word about each start."""
    events = (Event.START_SKIPPED, Event.START_QUEUED, Event.START_BEGUN)
    return [one for event in events for one in log.records(event=event, newest=True, limit=_LOOKED_AT)]


def _shown(record: Stored, starts: Sequence[Stored]) -> dict[str, Any]:
    latest: dict[str, dict[str, Any]] = {}
    for one in sorted(starts, key=lambda start: start.seq):
        start, _, state = one.key.rpartition("/")
        if start.endswith(f"/{record.key}"):
            latest[start] = {"policy": one.body["policy"], "site": one.body["site"], "state": state, **_how(one)}
    body = {word: value for word, value in record.body.items() if word != "token"}
    return {"at": record.at, **body, "starts": list(latest.values())}


def _how(start: Stored) -> dict[str, Any]:
    return {word: start.body[word] for word in ("run", "why") if word in start.body}
