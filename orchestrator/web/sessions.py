"""Signing in and out of a browser: a token is given once, a cookie that no script can read stands for it."""

import asyncio
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.web.access import COOKIE, SECURE_COOKIE, Caller, identify, refuse_cross_site, session_of
from orchestrator.web.installation import installation
from orchestrator.web.problems import Problem


async def sign_in(request: Request, text: str, answer: Response) -> Caller:
    """Open a session for the token and put its cookie into the answer. Raises Problem for a token that is no good."""
    refuse_cross_site(request)
    there = installation(request)
    caller = await identify(request, text.strip())
    if caller.how != "token" or caller.token is None:
        raise Problem(401, "wrong-token", "Sign in with a token of `orchestrator tokens create`.")
    token = await asyncio.to_thread(there.tokens.get, caller.token)
    if token is None:
        raise Problem(401, "wrong-token", "The token is gone.")
    session, ends = await asyncio.to_thread(there.tokens.open_session, token)
    answer.set_cookie(
        SECURE_COOKIE if there.secure else COOKIE,
        session,
        max_age=max(1, int((ends - datetime.now(UTC)).total_seconds())),
        path="/",
        secure=there.secure,
        httponly=True,
        samesite="strict",
    )
    return caller


async def sign_out(request: Request, answer: Response) -> None:
    """End the session of a request, if it has one, and take its cookie away."""
    refuse_cross_site(request)
    there = installation(request)
    session = session_of(request)
    if session is not None:
        await asyncio.to_thread(there.tokens.close_session, session)
    name = SECURE_COOKIE if there.secure else COOKIE
    answer.delete_cookie(name, path="/", secure=there.secure, httponly=True, samesite="strict")
