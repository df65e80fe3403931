"""Signing in with a token, and out again: the browser keeps a session, never the token."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.steering import read_form
from orchestrator.web.problems import Problem
from orchestrator.web.sessions import sign_in, sign_out


class SignIn:
    """The page before all others."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Ask for a token."""
        return await self._frame.page(
            request, "sign_in.html", trouble=None, next=onward(request.query_params.get("next"))
        )

    async def enter(self, request: Request) -> Response:
        """Take a token, and open a session for it."""
        form = await read_form(request)
        place = onward(form.get("next"))
        answer = RedirectResponse(place, 303)
        try:
            await sign_in(request, form.get("token", ""), answer)
        except Problem as problem:
            return await self._frame.page(
                request, "sign_in.html", problem.status, trouble=str(problem.detail), next=place
            )
        return answer

    async def leave(self, request: Request) -> Response:
        """End the session."""
        answer = RedirectResponse("/sign-in", 303)
        await sign_out(request, answer)
        return answer


def onward(text: str | None) -> str:
    """Give the page to go on to, one of ours or the first one: no address may lead elsewhere."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable():
        return "/"
    return "/" if text.startswith(("/sign-", "/api/")) else text
