"""Granting and revoking tokens: recorded in the audit before it is so; the record never holds the token."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from activities.holds import check_note
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, record_key
from orchestrator.roles import Role
from orchestrator.settings import Settings
from orchestrator.tokens import Token, TokenError, Tokens, new_token

OWN_FILE: Final = "api.token"
"""In the state directory: the token of whoever runs the stack of this machine, for nobody else to read."""
_OWN_LASTS: Final = timedelta(days=30)
_OWN_LEFT: Final = timedelta(days=1)


def own_token(settings: Settings, actor: str) -> str:
    """Give the token of whoever runs this machine's stack: an admin's, kept in a file, made anew before it runs out."""
    file = settings.state_dir / OWN_FILE
    tokens, log = Tokens(settings.tokens.get_secret_value()), AuditLog(settings.audit.get_secret_value())
    try:
        former = file.read_text("utf-8").strip() if file.is_file() else ""
        found = tokens.holder(former) if former else None
        now = datetime.now(UTC)
        if found is not None and found[0].trouble(now) is None and found[1] - now > _OWN_LEFT:
            return former
        person = re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9._+-]", "", actor.partition("@")[0])[:100] or "local"
        why = "for whoever runs the stack of this machine"
        _, text = grant(tokens, log, person, Role.ADMIN, _OWN_LASTS, actor=actor, note=why)
        _write(file, text)
        return text
    finally:
        tokens.close()
        log.close()


def _write(file: Path, text: str) -> None:
    """Write a secret, whole or not at all, for this user alone."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
        out.write(text + "\n")
    draft.replace(file)


def grant(
    tokens: Tokens, log: AuditLog, person: str, role: Role, lasts: timedelta, *, actor: str, note: str = ""
) -> tuple[Token, str]:
    """Make a token and give its text, which nobody can look up again. Raises TokenError and BadNote."""
    check_note(note)
    token, text = new_token(person, role, lasts, by=actor, note=note)
    body = {
        "token": token.id,
        "person": person,
        "role": str(role),
        "expires": token.expires.isoformat(),
        "reason": note,
    }
    key = record_key(None, Event.TOKEN_CREATED, token.id)
    log.append(AuditRecord(event=Event.TOKEN_CREATED, actor=actor, key=key, body=body))
    tokens.add(token, text)
    return token, text


def withdraw(tokens: Tokens, log: AuditLog, id_: str, *, actor: str, reason: str = "") -> Token:
    """Revoke a token, also one that is revoked already. Raises TokenError and BadNote."""
    check_note(reason)
    token = tokens.get(id_)
    if token is None:
        raise TokenError(f"there is no token {id_}: `orchestrator tokens list` shows them")
    body = {"token": token.id, "person": token.person, "reason": reason}
    key = record_key(None, Event.TOKEN_REVOKED, token.id)
    log.append(AuditRecord(event=Event.TOKEN_REVOKED, actor=actor, key=key, body=body))
    tokens.revoke(token.id, by=actor)
    return token
