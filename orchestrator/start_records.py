"""The starts of runs as the audit tells them: the last word about each."""

from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from orchestrator.settings import Settings

_EVENTS = (Event.START_BEGUN, Event.START_QUEUED, Event.START_SKIPPED, Event.START_MISSED)
_LOOKED_AT = 5_000


def start_records(settings: Settings, *, policy: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Give the newest starts, the newest first; one that was queued and then began is told once, as begun.

    Of each kind the newest thousands are looked through.
    """
    log = AuditLog(settings.audit.get_secret_value())
    if not log.is_there():
        return []
    try:
        records = [one for event in _EVENTS for one in log.records(event=event, newest=True, limit=_LOOKED_AT)]
    finally:
        log.close()
    latest: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda one: one.seq):
        if policy is not None and record.body["policy"] != policy:
            continue
        key = record.key.removesuffix("/" + record.event.removeprefix("start."))
        latest.pop(key, None)
        latest[key] = {
            "at": record.at,
            "state": record.event.removeprefix("start."),
            "actor": record.actor,
            **{word: value for word, value in record.body.items() if word != "waited_s"},
        }
    found = [one for one in reversed(latest.values()) if state is None or one["state"] == state]
    return found[:limit]
