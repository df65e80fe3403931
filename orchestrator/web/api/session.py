"""The session: who am I, sign in with a token, sign out."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.roles import RIGHTS, Right, Role
from orchestrator.web.access import READS, Caller, Guarded, Who
from orchestrator.web.parameters import Answer, Body
from orchestrator.web.problems import declared
from orchestrator.web.sessions import sign_in, sign_out

router = APIRouter(prefix="/session", tags=["session"])
guarded = APIRouter(prefix="/session", tags=["session"], route_class=Guarded, dependencies=[READS])


class Me(Answer):
    """The person behind a request, what they may do, and until when."""

    person: str
    role: Role
    rights: list[Right]
    expires: datetime


class SigningIn(Body):
    """A token of `orchestrator tokens create`."""

    token: str = Field(min_length=1, max_length=200)


@guarded.get("", summary="Who am I", responses=declared(401, 403, 422, 429, 500, 503))
async def show_session(who: Who) -> Me:
    """Tell whom the token speaks for, and what it allows."""
    return _me(who)


@router.post("", summary="Sign in", status_code=201, responses=declared(400, 401, 403, 408, 413, 422, 429, 500, 503))
async def open_session(request: Request, answer: Response, given: SigningIn) -> Me:
    """Open a session for a browser: the answer sets a cookie that no script can read, and no other site can use."""
    return _me(await sign_in(request, given.token, answer))


@router.delete("", summary="Sign out", status_code=204, responses=declared(403, 500, 503))
async def close_session(request: Request, answer: Response) -> None:
    """End the session; done twice it is the same."""
    await sign_out(request, answer)


def _me(caller: Caller) -> Me:
    rights = sorted(RIGHTS[caller.role])
    return Me(person=caller.person, role=caller.role, rights=rights, expires=caller.expires)
