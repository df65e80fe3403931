"""Who is asking, and whether they may: before a body is read, before anything is looked up."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.roles import Right, Role, who_may
from orchestrator.tokens import MOST_SECRET, Token, id_of
from orchestrator.web.installation import Installation, installation
from orchestrator.web.oidc import LONGEST, BadBearer, IssuerAway
from orchestrator.web.problems import Mistake, Problem, away
from orchestrator.web.repeats import HEADER, carried_out_once

COOKIE: Final = "tiering_session"
SECURE_COOKIE: Final = "__Host-tiering_session"
CHANNEL: Final = "api"
_SAFE = ("GET", "HEAD", "OPTIONS")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}

_BEARER = HTTPBearer(auto_error=False, description="A token of `orchestrator tokens create`, or of the OIDC issuer.")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="The session of a browser that signed in.")


@dataclass(frozen=True)
class Caller:
    """A person behind a request; `token` is the id of the token, None for an OIDC bearer's."""

    person: str
    role: Role
    expires: datetime
    how: Literal["token", "session", "oidc"]
    token: str | None = None

    @property
    def actor(self) -> str:
        """Who did it, for the audit: the person and the channel."""
        return f"{self.person}@{CHANNEL}"

    def may(self, right: Right) -> bool:
        """Tell whether the person may do that."""
        return self.role.may(right)


class Needs:
    """What a route needs; it stands in the route's dependencies, and so in the OpenAPI document."""

    def __init__(self, right: Right) -> None:
        self.right = right

    def __call__(
        self,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
        cookie: Annotated[str | None, Security(_COOKIE)] = None,
    ) -> None:
        """Nothing is left to do: `Guarded` has looked before the body was read."""


READS: Final = Depends(Needs(Right.READ))
STEERS: Final = Depends(Needs(Right.STEER))
APPROVES: Final = Depends(Needs(Right.APPROVE))
ADMINISTERS: Final = Depends(Needs(Right.ADMINISTER))


class Guarded(APIRoute):
    """A route that asks who is there, what they may do, and whether it knows every query parameter, before all else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()
        right = right_of(self)

        async def guarded(request: Request) -> Response:
            caller = await admitted(request)
            if not caller.may(right):
                text = f"This needs the role {who_may(right)}; {caller.person} is {caller.role} here."
                raise Problem(403, "wrong-role", text)
            request.state.caller = caller
            _check_query(request, self)
            if request.method == "POST" and HEADER in request.headers:
                return await carried_out_once(installation(request).repeats, request, caller.person, handle)
            return await handle(request)

        return guarded


def right_of(route: APIRoute) -> Right:
    """Give what a route needs; a route that does not say so does not get far enough to be served."""
    found = [one.dependency.right for one in route.dependencies if isinstance(one.dependency, Needs)]
    if len(found) != 1:
        raise AssertionError(f"{route.path} must say what it needs, once")
    return found[0]


def caller(request: Request) -> Caller:
    """Give the person behind a request that was admitted."""
    found: Caller = request.state.caller
    return found


Who = Annotated[Caller, Depends(caller)]


async def admitted(request: Request) -> Caller:
    """Tell who is asking. Raises Problem: no token, a wrong one, too many failures, a cross-site request."""
    refuse_cross_site(request)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise Problem(401, "no-token", "Send `Authorization: Bearer TOKEN`.", headers=_CHALLENGE)
        return await identify(request, text.strip())
    session = session_of(request)
    if session is not None:
        return await identify(request, session)
    text = "Send `Authorization: Bearer TOKEN`; `orchestrator tokens create` makes one, or sign in."
    raise Problem(401, "no-token", text, headers=_CHALLENGE)


async def identify(request: Request, text: str) -> Caller:
    """Give the person whom a token, session or bearer speaks for; failures are counted. Raises Problem."""
    there = installation(request)
    address = request.client.host if request.client is not None else "?"
    identity = id_of(text)
    wait = there.attempts.wait(address, identity, text)
    if wait > 0:
        text = "Too many logins failed lately: try again later."
        raise Problem(429, "too-many-attempts", text, headers={"Retry-After": str(int(wait) + 1)})
    try:
        found = await _identified(there, text)
    except Problem as problem:
        if problem.status == 401 and not isinstance(problem, Outdated):
            there.attempts.failed(address, identity, text)
        raise
    there.attempts.succeeded(address, text)
    return found


def session_of(request: Request) -> str | None:
    """Give the session in a request's cookie."""
    name = SECURE_COOKIE if installation(request).secure else COOKIE
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None or not found.value else found.value


def refuse_cross_site(request: Request) -> None:
    """Refuse what another site's page sends: its visitor's browser would bring the cookie along. Raises Problem.

    Browsers say where a request comes from (Sec-Fetch-Site, Origin), and no page can change that. Programs send
    neither and have no cookie; a change that comes with a cookie and without either word is refused too.
    """
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = {request.headers.get("host", "").lower()}
    public = installation(request).given.public_url
    if public is not None:
        ours.add(urlsplit(public).netloc.lower())
    strange = site not in (None, "same-origin", "none") or (origin is not None and _host(origin) not in ours)
    silent = site is None and origin is None and "authorization" not in request.headers and "cookie" in request.headers
    if strange or silent:
        raise Problem(403, "cross-site", "A page of another site asked for this: nothing was done.")


async def _identified(there: Installation, text: str) -> Caller:
    if id_of(text) is not None:
        holder = await asyncio.to_thread(there.tokens.holder, text)
        if holder is None:
            raise _refused("The token is wrong, or its session is over.")
        token, expires = holder
        return _holder(token, expires, "session" if text.startswith("session_") else "token")
    if there.issuer is not None and text.count(".") == 2 and len(text) <= LONGEST:
        try:
            bearer = await asyncio.to_thread(there.issuer.read, text)
        except BadBearer as error:
            raise _refused(f"The OIDC token is not taken: {error}.") from None
        except IssuerAway as error:
            raise away(f"The OIDC token cannot be checked: {error}.") from None
        return Caller(bearer.person, bearer.role, bearer.expires, "oidc")
    raise _refused("This is no token." if len(text) <= MOST_SECRET else "This is no token; it is too long for one.")


class Outdated(Problem):
    """The token was good once: whoever sends it guesses nothing, and must hear why it is no good any more."""


def _holder(token: Token, expires: datetime, how: Literal["token", "session"]) -> Caller:
    trouble = token.trouble(datetime.now(UTC))
    if trouble is not None:
        text = f"The token {token.id} is {trouble}: ask an admin for another one."
        raise Outdated(401, f"{trouble}-token", text, headers=_INVALID)
    return Caller(token.person, token.role, expires, how, token.id)


def _refused(text: str) -> Problem:
    return Problem(401, "wrong-token", text, headers=_INVALID)


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return "?"


def _check_query(request: Request, route: APIRoute) -> None:
    """Refuse a query parameter that the route does not know, and one that comes twice: a typo is no filter."""
    known = {one.alias for one in route.dependant.query_params}
    seen: set[str] = set()
    mistakes = []
    for name, _ in request.query_params.multi_items():
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            mistakes.append(Mistake(where=f"query.{name[:80]}", text=f"No such parameter; known here: {there}."))
        elif name in seen:
            mistakes.append(Mistake(where=f"query.{name}", text="It is there twice."))
        seen.add(name)
    if mistakes:
        text = "The request cannot be taken as it is: `mistakes` says where and why."
        raise Problem(422, "invalid", text, mistakes=mistakes[:20])
