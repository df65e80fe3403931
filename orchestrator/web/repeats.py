"""A request that is sent again: with an `Idempotency-Key` it happens once and is answered alike (IETF httpapi draft).

Whoever sends a request and hears nothing sends it again under the same key. While the first is at work the second is
told so; afterwards it gets the answer of the first, also from another server of the installation. A server that dies
between the effect and its answer leaves the key open: after `ABANDONED` the request is carried out again, and what it
starts has an id that follows from the key, so that it is there once.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, select, update
from starlette.requests import Request
from starlette.responses import Response

from activities.ledger.database import Database
from orchestrator.web.guards import ANSWER_WITHIN
from orchestrator.web.problems import Problem
from orchestrator.web.repeat_tables import REPEATS, answers

HEADER: Final = "Idempotency-Key"
LONGEST_KEY: Final = 255
KEPT_FOR: Final = 24 * 3600.0
ABANDONED: Final = ANSWER_WITHIN + 30.0
"""Seconds after which a request that has no answer yet has lost its server."""
_ASK_AGAIN: Final = "2"


@dataclass(frozen=True)
class Kept:
    """What is known of a key: the request that came with it and its answer; a `status` of None is still at work."""

    request: str
    status: int | None
    media_type: str | None
    body: bytes


class Repeats:
    """The answers that are given again, in one database; safe to use from many threads and processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, *, wait: float = 30.0) -> None:
        self._database = Database(url, wait, REPEATS)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def begin(self, key: str, request: str) -> Kept | None:
        """Take a key for a request; None when it is ours now, or what is known of it."""
        now = _micros()
        with self._database.writing() as connection:
            connection.execute(delete(answers).where(answers.c.begun_us < now - round(KEPT_FOR * 1e6)))
            row = connection.execute(select(answers).where(answers.c.id == key)).one_or_none()
            if row is None:
                connection.execute(answers.insert(), {"id": key, "request": request, "begun_us": now})
                return None
            lost = row.status is None and row.begun_us < now - round(ABANDONED * 1e6)
            if lost and row.request == request:
                connection.execute(update(answers).where(answers.c.id == key).values(begun_us=now))
                return None
        return Kept(row.request, row.status, row.media_type, row.body or b"")

    def end(self, key: str, status: int, media_type: str | None, body: bytes) -> None:
        """Keep an answer."""
        values = {"status": status, "media_type": media_type, "body": body}
        with self._database.writing() as connection:
            connection.execute(update(answers).where(answers.c.id == key).values(**values))

    def forget(self, key: str) -> None:
        """Let the key be used again: nothing was done, or what was done does no harm twice."""
        with self._database.writing() as connection:
            connection.execute(delete(answers).where(answers.c.id == key))


async def carried_out_once(
    repeats: Repeats, request: Request, person: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]
) -> Response:
    """Carry a request out, or give the answer of the one that came before with the same key. Raises Problem."""
    named = request.headers.getlist(HEADER)
    if len(named) != 1 or not 1 <= len(named[0]) <= LONGEST_KEY or not named[0].isascii() or not named[0].isprintable():
        text = f"An {HEADER} is one to {LONGEST_KEY} printable ASCII characters, once: a UUID does well."
        raise Problem(422, "invalid", text)
    key = _digest(person, named[0])
    wanted = _digest(request.method, request.url.path, request.url.query, (await request.body()).hex())
    before = await asyncio.to_thread(repeats.begin, key, wanted)
    if before is not None:
        return _again(before, wanted)
    request.state.once = key
    try:
        answer = await handle(request)
    except BaseException:
        # A cancelled request ends here too: what it has begun goes on under the same ids when it is sent again.
        await asyncio.shield(asyncio.to_thread(repeats.forget, key))
        raise
    if answer.status_code < 300:
        await asyncio.to_thread(repeats.end, key, answer.status_code, answer.media_type, bytes(answer.body))
    else:
        await asyncio.to_thread(repeats.forget, key)
    return answer


def once(request: Request) -> str | None:
    """Give the name under which what a request starts is there once; None when it came without a key."""
    found: str | None = getattr(request.state, "once", None)
    return found


def _again(before: Kept, wanted: str) -> Response:
    if before.request != wanted:
        text = f"This {HEADER} came with another request before: use a fresh one for each."
        raise Problem(422, "key-used", text)
    if before.status is None:
        text = f"The request with this {HEADER} is still at work: ask again for its answer."
        raise Problem(409, "at-work", text, headers={"Retry-After": _ASK_AGAIN})
    return Response(before.body, before.status, media_type=before.media_type, headers={"Idempotency-Replayed": "true"})


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _micros() -> int:
    return time.time_ns() // 1000
