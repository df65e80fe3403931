"""Tokens: who may use this API, in which role, until when; only an admin sees and makes them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request

from orchestrator.granting import grant, withdraw
from orchestrator.roles import Role
from orchestrator.tokens import LONGEST, Token
from orchestrator.web.access import ADMINISTERS, Guarded, Who
from orchestrator.web.installation import installation
from orchestrator.web.parameters import Answer, Body, Reason
from orchestrator.web.problems import Problem, declared, unknown
from orchestrator.web.repeats import once

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=Guarded, dependencies=[ADMINISTERS])
TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$", description="The token's id; it is no secret.")]


class TokenLine(Answer):
    """What is known of a token; never the token itself."""

    id: str
    person: str
    role: Role
    state: Literal["good", "expired", "revoked"]
    reason: str
    created: datetime
    created_by: str
    expires: datetime
    revoked: datetime | None
    revoked_by: str | None


class TokenList(Answer):
    """All tokens, the newest first."""

    tokens: list[TokenLine]


class NewToken(Body):
    """Whom a new token is for, what it allows, and for how long."""

    person: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}$")]
    role: Role
    days: Annotated[int, Field(ge=1, le=LONGEST.days)] = 90
    reason: Reason = ""


class CreatedToken(TokenLine):
    """A new token; its text is shown this once."""

    token: str


class Revoking(Body):
    """Why a token is revoked."""

    reason: Reason = ""


@router.get("", summary="List tokens", responses=declared(401, 403, 422, 429, 500, 503))
async def list_tokens(request: Request) -> TokenList:
    """List the tokens, also those that are no good any more."""
    found = await asyncio.to_thread(installation(request).tokens.listed)
    return TokenList(tokens=[TokenLine(**_told(one)) for one in found])


@router.post(
    "",
    summary="Create a token",
    status_code=201,
    responses=declared(400, 401, 403, 408, 413, 422, 429, 500, 503),
)
async def create_token(request: Request, who: Who, wanted: NewToken) -> CreatedToken:
    """Make a token; the answer is the only place where it ever stands."""
    if once(request) is not None:
        text = "A token is never kept, so its answer cannot be given again: leave the Idempotency-Key out."
        raise Problem(422, "invalid", text)
    there, log = installation(request), installation(request).log

    def make() -> tuple[Token, str]:
        lasts = timedelta(days=wanted.days)
        return grant(there.tokens, log, wanted.person, wanted.role, lasts, actor=who.actor, note=wanted.reason)

    token, text = await asyncio.to_thread(make)
    return CreatedToken(**_told(token), token=text)


@router.post(
    "/{token}/revoke",
    summary="Revoke a token",
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 500, 503),
)
async def revoke_token(request: Request, who: Who, token: TokenId, why: Revoking) -> TokenLine:
    """Let a token be no good from now on; its sessions end with it. Done twice it is the same."""
    there, log = installation(request), installation(request).log
    if await asyncio.to_thread(there.tokens.get, token) is None:
        raise unknown(f"There is no token {token}.")
    await asyncio.to_thread(withdraw, there.tokens, log, token, actor=who.actor, reason=why.reason)
    gone = await asyncio.to_thread(there.tokens.get, token)
    assert gone is not None, "a token is never removed"
    return TokenLine(**_told(gone))


def _told(one: Token) -> dict[str, object]:
    return {
        "id": one.id,
        "person": one.person,
        "role": one.role,
        "state": one.trouble(datetime.now(UTC)) or "good",
        "reason": one.note,
        "created": one.created,
        "created_by": one.created_by,
        "expires": one.expires,
        "revoked": one.revoked,
        "revoked_by": one.revoked_by,
    }
