"""Signing in with a token, and out again: the browser keeps a session, never the token."""

import asyncio
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from orchestrator.web.access import COOKIE, SECURE_COOKIE, identify, session_of
from orchestrator.web.installation import installation
from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.steering import read_form
from orchestrator.web.problems import Problem


class SignIn:
    """The page before all others."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Ask for a token."""
        return await self._frame.page(request, "sign_in.html", trouble=None, next=_next(request.query_params.get("next")))

    async def enter(self, request: Request) -> Response:
        """Take a token, and open a session for it."""
        form = await read_form(request)
        text, there = form.get("token", "").strip(), installation(request)
        onward = _next(form.get("next"))
        try:
            caller = await identify(request, text)
            token = await asyncio.to_thread(there.tokens.get, caller.token) if caller.token is not None else None
            if token is None or caller.how != "token":
                raise Problem(401, "wrong-token", "A browser signs in with a token of `orchestrator tokens create`.")
        except Problem as problem:
            return await self._frame.page(
                request, "sign_in.html", problem.status, trouble=str(problem.detail), next=onward
            )
        session, ends = await asyncio.to_thread(there.tokens.open_session, token)
        answer = RedirectResponse(onward, 303)
        answer.set_cookie(
            SECURE_COOKIE if there.secure else COOKIE,
            session,
            max_age=int((ends - datetime.now(UTC)).total_seconds()),
            path="/",
            secure=there.secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        """End the session."""
        session, there = session_of(request), installation(request)
        if session is not None:
            await asyncio.to_thread(there.tokens.close_session, session)
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(SECURE_COOKIE if there.secure else COOKIE, path="/", secure=there.secure, httponly=True)
        return answer


def _next(text: str | None) -> str:
    """Give the page to go on to, one of ours or the first one: no address may lead elsewhere."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable():
        return "/"
    return "/" if text.startswith(("/sign-", "/api/")) else text
