"""Received events as the audit tells of them: what each said, which routes wanted it, and the runs it started."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


def replayed(shown: dict[str, Any], *, actor: str, reason: str, once: str | None = None) -> CloudEvent:
    """Make a new event that says what an old one said, names it, and tells who wanted that and why.

    Its id follows from `once`, where there is one: events are acted on once for each id.
    """
    event = CloudEvent.model_validate(shown)
    attributes = {**event.attributes, "replayof": event.id, "replayedby": actor, "replayreason": reason}
    return event.model_copy(update={"id": f"replay-{(once or uuid4().hex)[:12]}", "attributes": attributes})


@dataclass
class _Begun:
    """A start as the audit tells of it: the event that it is named after, when it was wished for, what became of it."""

    event: str
    policy: str
    site: str
    trigger: int
    wished: int
    told: dict[str, Any] = field(default_factory=dict)


def _shown(log: AuditLog, records: Sequence[Stored]) -> list[dict[str, Any]]:
    received = {one.key: one for one in log.records(event=Event.EVENT_RECEIVED, newest=True, limit=_LOOKED_AT)}
    starts = _starts(log)
    return [
        {
            "at": one.at,
            **{word: value for word, value in one.body.items() if word != "token"},
            "starts": [_told(start, one, received) for start in _starts_of(one, starts, received)],
        }
        for one in records
    ]


def _starts_of(record: Stored, starts: Sequence[_Begun], received: Mapping[str, Stored]) -> Iterator[_Begun]:
    """Give the starts that an event is part of.

    The bursts of one trigger and site follow each other, so an event belongs to the one whose first event is the last
    before it; unless that one was wished for before the event came, and the event's own burst still settles.
    """
    wants = {(one["policy"], one["trigger"]) for one in record.body["matched"]}
    latest: dict[tuple[str, int, str], tuple[int, _Begun]] = {}
    for start in starts:
        first = received.get(start.event)
        if (start.policy, start.trigger) in wants and first is not None and first.seq <= record.seq < start.wished:
            place = (start.policy, start.trigger, start.site)
            if place not in latest or latest[place][0] < first.seq:
                latest[place] = (first.seq, start)
    return (start for _, start in latest.values())


def _told(start: _Begun, record: Stored, received: Mapping[str, Stored]) -> dict[str, Any]:
    """Tell what became of a start, and with which event's burst, when that is another one."""
    other = {} if start.event == record.key else {"with": received[start.event].body["id"]}
    return {"policy": start.policy, "site": start.site, **start.told, **other}


def _starts(log: AuditLog) -> list[_Begun]:
    """Give every start for an event, with the last word about it."""
    found: dict[str, _Begun] = {}
    for one in log.records(event=Event.START_WISHED, newest=True, limit=_LOOKED_AT):
        # start / policy / site / kind-trigger / the event's key
        policy, site = one.body["policy"], one.body["site"]
        trigger, _, event = one.key.removeprefix(f"start/{policy}/{site}/").partition("/")
        number = trigger.rpartition("-")[2]
        if one.body["kind"] in ("event", "after") and number.isdecimal():
            found[one.key] = _Begun(event, policy, site, int(number), one.seq, {"state": "wished"})
    words = (Event.START_SKIPPED, Event.START_QUEUED, Event.START_BEGUN)
    records = [one for word in words for one in log.records(event=word, newest=True, limit=_LOOKED_AT)]
    for one in sorted(records, key=lambda record: record.seq):
        start, _, state = one.key.rpartition("/")
        if start in found:
            found[start].told = {"state": state, **_how(one)}
    return list(found.values())


def _how(start: Stored) -> dict[str, Any]:
    return {word: start.body[word] for word in ("run", "why") if word in start.body}
