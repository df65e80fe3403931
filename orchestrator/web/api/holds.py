"""Holds: freezes and paused policies; freeze, thaw."""

import asyncio
import secrets
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from activities.holds import Hold, Holds
from orchestrator.frozen_runs import Steered
from orchestrator.holding import freeze as set_freeze
from orchestrator.holding import thaw as lift_freeze
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.installation import engine, installation
from orchestrator.web.parameters import Answer, Body, Maybe, NeededReason, Reason, Sequence, Site
from orchestrator.web.problems import declared, unknown
from orchestrator.web.repeats import once

router = APIRouter(prefix="/holds", tags=["holds"], route_class=Guarded)

_LABEL = r"^[^=\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100}=[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,400}$"


class HoldLine(Answer):
    """One hold: a paused policy, or a freeze of all that its site and label cover; `number` names it."""

    number: int
    kind: Literal["pause", "freeze"]
    policy: str | None
    site: str | None
    label: str | None
    scope: str
    reason: str
    actor: str
    since: datetime
    lifted: datetime | None = None


class HoldList(Answer):
    """The holds, the newest first."""

    holds: list[HoldLine]


class Freezing(Body):
    """What is frozen: all, or what a site and a label cover; with `runs` the open runs pause too."""

    reason: NeededReason
    site: Maybe[Site] = None
    label: Maybe[Annotated[str, Field(pattern=_LABEL, description="Only policies with it: `name=value`.")]] = None
    runs: bool = False


class SteeredRuns(Answer):
    """What became of the runs: steered ones, who still pauses some, and why others did not answer."""

    done: list[str]
    still: dict[str, str]
    failed: dict[str, str]


class Frozen(Answer):
    """A freeze, the applied policies that it covers, and what became of the open runs."""

    hold: HoldLine
    policies: list[str]
    stands: bool = Field(description="False when somebody thawed it meanwhile.")
    runs: SteeredRuns


class Thawing(Body):
    """Why a freeze ends."""

    reason: Reason = ""


class Thawed(Answer):
    """What became of the runs that the freeze had paused."""

    hold: HoldLine
    runs: SteeredRuns


@router.get("", summary="List holds", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_holds(
    request: Request, lifted: Annotated[bool, Query(description="Those too that were lifted.")] = False
) -> HoldList:
    """List what is frozen or paused now, or all there ever was."""
    holds = Holds(installation(request).log)
    if not lifted:
        standing = await asyncio.to_thread(holds.standing)
        return HoldList(holds=[hold_line(one) for one in reversed(standing)])
    ever = await asyncio.to_thread(holds.ever)
    return HoldList(holds=[hold_line(one, at) for one, at in reversed(ever)])


@router.post(
    "/freezes",
    summary="Freeze",
    status_code=201,
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 408, 409, 413, 422, 429, 500, 503),
)
async def freeze(request: Request, who: Who, wanted: Freezing) -> Frozen:
    """Let nothing begin, everywhere or at a site or for a label, until it is thawed."""
    there = await engine(request)
    name, _, value = (wanted.label or "").partition("=")
    done = await set_freeze(
        there,
        site=wanted.site,
        label=None if wanted.label is None else (name, value),
        runs=wanted.runs,
        actor=who.actor,
        reason=wanted.reason,
        key=new_key(request),
    )
    return Frozen(hold=hold_line(done.hold), policies=done.policies, stands=done.stands, runs=_steered(done.runs))


@router.post(
    "/freezes/{number}/thaw",
    summary="Thaw",
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503),
)
async def thaw(request: Request, who: Who, number: Sequence, why: Thawing) -> Thawed:
    """End a freeze: triggers start runs again, the runs that it paused go on. Done twice it is the same."""
    there = await engine(request)
    hold = await asyncio.to_thread(there.holds.find, number)
    if hold is None or hold.kind != "freeze":
        raise unknown(f"There is no freeze {number}.")
    return Thawed(
        hold=hold_line(hold),
        runs=_steered(await lift_freeze(there, hold, actor=who.actor, reason=why.reason)),
    )


def hold_line(hold: Hold, lifted: datetime | None = None) -> HoldLine:
    """Write a hold."""
    return HoldLine(
        number=hold.number,
        kind=hold.kind,
        policy=hold.policy,
        site=hold.site,
        label=None if hold.label is None else "=".join(hold.label),
        scope=hold.scope,
        reason=hold.reason,
        actor=hold.actor,
        since=hold.since,
        lifted=lifted,
    )


def new_key(request: Request) -> str:
    """Give a key under which the audit takes a record once: that of a request which may be sent again, or a new one."""
    return once(request) or secrets.token_hex(8)


def _steered(runs: Steered) -> SteeredRuns:
    return SteeredRuns(done=runs.done, still=runs.still, failed=runs.failed)
