"""Tokens: who may use the HTTP API, in which role, until when; only their hashes are kept.

A token is `tiering_ID_SECRET`; the id names its row, the secret is 256 bits of the system's randomness. One round of
SHA-256 is enough for that: nobody guesses 256 bits, however fast a hash is. Slow hashes are for words that people
choose, and would cost every request their time. A browser holds a session, made in the same way, never the token.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update

from activities.ledger.database import Database
from orchestrator.roles import Role
from orchestrator.token_tables import TOKENS, sessions, tokens

LONGEST = timedelta(days=3660)
"""No token is good for longer."""
SESSION_LASTS = timedelta(hours=12)
MOST_SECRET = 200
"""Characters that are looked at before anything is hashed."""

PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}")
_TEXT = re.compile(r"(?P<kind>tiering|session)_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class TokenError(Exception):
    """A token cannot be made or revoked so; the text says why and what to do."""


@dataclass(frozen=True)
class Token:
    """What is known of a token; whoever has it speaks for its person."""

    id: str
    person: str
    role: Role
    note: str
    created: datetime
    created_by: str
    expires: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None

    def trouble(self, now: datetime) -> str | None:
        """Say why it is no good any more; None while it is."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if now >= self.expires else None


def id_of(text: str) -> str | None:
    """Give the id in a token's or session's text, which is no secret; None for what is neither."""
    found = _TEXT.fullmatch(text) if len(text) <= MOST_SECRET else None
    return None if found is None else f"{found['kind']}_{found['id']}"


class Tokens:
    """The tokens in one database; safe to use from many threads and processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, *, wait: float = 30.0) -> None:
        self._database = Database(url, wait, TOKENS)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def add(self, token: Token, text: str) -> None:
        """Keep a new token by its hash."""
        row = {
            "id": token.id,
            "hash": _hash(text),
            "person": token.person,
            "role": str(token.role),
            "note": token.note,
            "created_us": _micros(token.created),
            "created_by": token.created_by,
            "expires_us": _micros(token.expires),
        }
        with self._database.writing() as connection:
            connection.execute(tokens.insert(), row)

    def listed(self) -> list[Token]:
        """Give all tokens, the newest first."""
        if not self._database.is_there():
            return []
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.created_us.desc()))]

    def get(self, id_: str) -> Token | None:
        """Give the token with an id, if there is one."""
        if not self._database.is_there():
            return None
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == id_)).one_or_none()
        return None if row is None else _token(row)

    def revoke(self, id_: str, *, by: str) -> None:
        """Let a token be no good from now on; its sessions end with it."""
        with self._database.writing() as connection:
            mine = (tokens.c.id == id_) & tokens.c.revoked_us.is_(None)
            connection.execute(update(tokens).where(mine).values(revoked_us=_micros(_now()), revoked_by=by))
            connection.execute(delete(sessions).where(sessions.c.token == id_))

    def holder(self, text: str) -> tuple[Token, datetime] | None:
        """Give the token of a text, its own or that of a session, and until when it is good; None for a wrong one.

        The token may have expired or been revoked: whoever asks looks at its `trouble`.
        """
        found = _TEXT.fullmatch(text) if len(text) <= MOST_SECRET else None
        if found is None or not self._database.is_there():
            return None
        with self._database.reading() as connection:
            if found["kind"] == "tiering":
                row = connection.execute(select(tokens).where(tokens.c.id == found["id"])).one_or_none()
                holder = row
            else:
                row = connection.execute(select(sessions).where(sessions.c.id == found["id"])).one_or_none()
                of = "" if row is None else row.token
                holder = connection.execute(select(tokens).where(tokens.c.id == of)).one_or_none()
        if row is None or holder is None or not hmac.compare_digest(row.hash, _hash(text)):
            return None
        if found["kind"] == "session" and _moment(row.expires_us) <= _now():
            return None
        return _token(holder), min(_moment(row.expires_us), _moment(holder.expires_us))

    def open_session(self, token: Token) -> tuple[str, datetime]:
        """Make a session of a token for a browser; give its text, and when it ends."""
        id_, text = _made("session")
        ends = min(_now() + SESSION_LASTS, token.expires)
        row = {"id": id_, "hash": _hash(text), "token": token.id, "expires_us": _micros(ends)}
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_us < _micros(_now())))
            connection.execute(sessions.insert(), row)
        return text, ends

    def close_session(self, text: str) -> None:
        """End a session; one that is over stays so."""
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.hash == _hash(text)))


def new_token(person: str, role: Role, lasts: timedelta, *, by: str, note: str = "") -> tuple[Token, str]:
    """Make a token that is not kept yet, and its text. Raises TokenError."""
    if not PERSON.fullmatch(person):
        raise TokenError(
            f"{person!a} is no name of a person: A-Z, a-z, 0-9 and . _ + @ - after the first, 100 characters at most"
        )
    if not timedelta(0) < lasts <= LONGEST:
        raise TokenError(f"a token is good for some time, {LONGEST.days} days at most")
    id_, text = _made("tiering")
    now = _now()
    return Token(id_, person, role, note, now, by, now + lasts), text


def _made(kind: str) -> tuple[str, str]:
    id_ = secrets.token_hex(6)
    return id_, f"{kind}_{id_}_{secrets.token_urlsafe(32)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token(row: Any) -> Token:
    return Token(
        id=row.id,
        person=row.person,
        role=Role(row.role),
        note=row.note,
        created=_moment(row.created_us),
        created_by=row.created_by,
        expires=_moment(row.expires_us),
        revoked=None if row.revoked_us is None else _moment(row.revoked_us),
        revoked_by=row.revoked_by,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
