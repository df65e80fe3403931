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
    return _shown(log, found)


def find_event(log: AuditLog, name: str) -> list[Any]:
    """Give the received events with this id; those of several sources may have it, and SOURCE/ID says which."""
    if not log.is_there():
        return []
    records = log.records(event=Event.EVENT_RECEIVED, newest=True, limit=_LOOKED_AT)
    found = [one for one in records if name in (one.body["id"], f"{one.body['source']}/{one.body['id']}")]
    if not found and "/" in name:  # An old one is found by its whole name.
        source, _, identity = name.rpartition("/")
        old = log.get(CloudEvent(id=identity, source=source, type="").key)
        found = [] if old is None else [old]
    return _shown(log, found)


def replayed(shown: dict[str, Any], *, actor: str, reason: str) -> CloudEvent:
    """Make a new event that says what an old one said, names it, and tells who wanted that and why."""
    event = CloudEvent.model_validate(shown)
    attributes = {**event.attributes, "replayof": event.id, "replayedby": actor, "replayreason": reason}
    return event.model_copy(update={"id": f"replay-{uuid4().hex[:12]}", "attributes": attributes})


def _shown(log: AuditLog, records: Sequence[Stored]) -> list[dict[str, Any]]:
    starts = _starts(log)
    return [
        {
            "at": one.at,
            **{word: value for word, value in one.body.items() if word != "token"},
            "starts": list(starts.get(one.key, {}).values()),
        }
        for one in records
    ]


def _starts(log: AuditLog) -> dict[str, dict[str, dict[str, Any]]]:
    """Give the last word about each start, by the event that it is named after."""
    words = (Event.START_SKIPPED, Event.START_QUEUED, Event.START_BEGUN)
    records = [one for word in words for one in log.records(event=word, newest=True, limit=_LOOKED_AT)]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for one in sorted(records, key=lambda start: start.seq):
        # start / policy / site / trigger / the event's key / what became of it
        start, _, state = one.key.rpartition("/")
        event = start.removeprefix(f"start/{one.body['policy']}/{one.body['site']}/").partition("/")[2]
        told = {"policy": one.body["policy"], "site": one.body["site"], "state": state, **_how(one)}
        found.setdefault(event, {})[start] = told
    return found


def _how(start: Stored) -> dict[str, Any]:
    return {word: start.body[word] for word in ("run", "why") if word in start.body}
