"""Calls of the Hub by hand: whatever may change something there is recorded before it is sent."""

import secrets
from collections.abc import Mapping
from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, record_key
from orchestrator.settings import Settings

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_REASON = 500


def record_call(settings: Settings, method: str, path: str, body: Any, *, actor: str, reason: str) -> None:
    """Record a call that is about to be made, unless it only reads; of the body only the names of its fields.

    May raise AuditUnavailable: then nothing may be sent.
    """
    if method.upper() in _READS:
        return
    fields = sorted(map(str, body)) if isinstance(body, Mapping) else []
    said = {"method": method.upper(), "path": path, "fields": fields, "reason": reason[:_MOST_REASON]}
    log = AuditLog(settings.audit.get_secret_value())
    try:
        key = record_key(None, Event.HUB_CALLED, secrets.token_hex(8))
        log.append(AuditRecord(event=Event.HUB_CALLED, actor=actor, key=key, body=said))
    finally:
        log.close()
