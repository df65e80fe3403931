"""Granting and revoking tokens: recorded in the audit before it is so; the record never holds the token."""

from datetime import timedelta

from activities.holds import check_note
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, record_key
from orchestrator.roles import Role
from orchestrator.tokens import Token, TokenError, Tokens, new_token


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
