"""What every request meets first: limits of size and time, security headers, and an answer whatever happens."""

import asyncio
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.web.problems import Problem, problem_of

LARGEST_BODY: Final = 64 * 1024
BODY_WITHIN: Final = 30.0
ANSWER_WITHIN: Final = 120.0
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, nothing from elsewhere, no frame around us."""
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_KEPT = "/static/"
_OWN_LIMITS = ("/events",)


class Guards:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within its limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        answer = _Answer(send, scope["path"], secure=self._secure)
        bounded = scope["path"] not in _OWN_LIMITS
        try:
            if bounded:
                _refuse_oversized(request)
                receive = _Body(receive).next
            async with asyncio.timeout(ANSWER_WITHIN) as limit:
                answer.limit = limit
                await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.started:
                raise
            late = answer.limit is not None and answer.limit.expired()
            problem = problem_of(error, request) if not late else _slow()
            await problem.answer()(scope, receive, answer.send)


class _Body:
    """A body that is bounded in size and time, whatever its length says."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0
        self._ended = False

    async def next(self) -> Message:
        if self._ended:  # Only the end of the connection is still to come: it may take as long as it likes.
            return await self._receive()
        try:
            async with asyncio.timeout(BODY_WITHIN):
                message = await self._receive()
        except TimeoutError:
            text = f"The body did not come within {BODY_WITHIN:.0f} s: send it again."
            raise Problem(408, "slow-body", text, headers={"Connection": "close"}) from None
        self._seen += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._seen > LARGEST_BODY:
            raise _oversized()
        return message


class _Answer:
    """The answer on its way out, with the headers that every answer has."""

    def __init__(self, send: Send, path: str, *, secure: bool) -> None:
        self._send = send
        self._path = path
        self._secure = secure
        self.started = False
        self.limit: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if not (self._path.startswith(_KEPT) and message["status"] in (200, 304)):
                headers.setdefault("Cache-Control", "no-store")
            if self._secure:
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            if headers.get("content-type", "").startswith("text/event-stream") and self.limit is not None:
                self.limit.reschedule(None)
        await self._send(message)


def _refuse_oversized(request: Request) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 12 or int(length) > LARGEST_BODY):
        raise _oversized()


def _slow() -> Problem:
    return Problem(503, "slow", f"This took longer than {ANSWER_WITHIN:.0f} s, and was given up.")


def _oversized() -> Problem:
    text = f"The body has more than {LARGEST_BODY:,} bytes: send less."
    return Problem(413, "too-large", text, headers={"Connection": "close"})
