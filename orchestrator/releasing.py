"""Releasing files from the quarantine: recorded with who and why, some at a time however many there are."""

import secrets
from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, record_key
from activities.quarantine import Failing, Quarantine, Which, digest_of

_AT_ONCE = 10_000
_MOST_REASON = 4_000
_NAMED, _NAMED_CHARACTERS = 100, 50_000


def release(quarantine: Quarantine, log: AuditLog, which: Which, *, actor: str, reason: str) -> int:
    """Let files be planned again, as if they had never failed; count them.

    The record is written before the files are let go: there is no release without one.
    """
    released = 0
    while found := quarantine.some(which, _AT_ONCE):
        for site in sorted({one.site for one in found}):
            log.append(_record([one for one in found if one.site == site], site, actor, reason))
        gone = quarantine.forget(found)
        released += gone
        if not gone:  # All of them failed anew meanwhile: they stay.
            break
    return released


def _record(files: list[Failing], site: str, actor: str, reason: str) -> AuditRecord:
    paths = [one.path for one in files]
    body: dict[str, Any] = {
        "site": site,
        "files": len(files),
        "digest": digest_of(paths),
        "why": "released by a person",
        "reason": reason[:_MOST_REASON],
    }
    if len(paths) <= _NAMED and sum(map(len, paths)) <= _NAMED_CHARACTERS:
        body["paths"] = sorted(paths)
    key = record_key(None, Event.QUARANTINE_RELEASED, secrets.token_hex(8))
    return AuditRecord(event=Event.QUARANTINE_RELEASED, actor=actor, run=None, key=key, body=body)
