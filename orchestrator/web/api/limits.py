"""Limits of a site, over all its runs."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request

from activities.site_limits import SiteLimit, SiteLimits
from orchestrator.holding import known_sites
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.api.holds import new_key
from orchestrator.web.installation import engine, installation
from orchestrator.web.parameters import Answer, Body, Reason
from orchestrator.web.problems import declared, unknown

router = APIRouter(prefix="/limits", tags=["limits"], route_class=Guarded)
SiteName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$", description="The site.")]


class LimitLine(Answer):
    """The jobs that may be in flight at a site, of all its runs; null: as many as the runs may."""

    site: str
    jobs: int | None
    actor: str
    reason: str
    since: datetime


class LimitList(Answer):
    """The limits that hold."""

    limits: list[LimitLine]


class NewLimit(Body):
    """A new limit; `off` lifts the one that holds."""

    jobs: Annotated[int, Field(ge=1, le=100_000)] | Literal["off"]
    reason: Reason = ""


@router.get("", summary="List limits", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_limits(request: Request) -> LimitList:
    """List the limits that hold."""
    log = installation(request).log
    standing = await asyncio.to_thread(SiteLimits(log).standing)
    return LimitList(limits=[_line(one) for one in standing.values()])


@router.put(
    "/{site}",
    summary="Set a limit",
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 500, 503),
)
async def set_limit(request: Request, who: Who, site: SiteName, wanted: NewLimit) -> LimitLine:
    """Bound the jobs in flight at a site, whatever its runs may do; jobs that are there already end by themselves."""
    there = await engine(request)
    known = await known_sites(there)
    if site not in known:
        raise unknown(f"No policy and no run is at this site; known: {', '.join(sorted(known)) or 'none yet'}.")
    put, jobs = SiteLimits(there.log).put, None if wanted.jobs == "off" else wanted.jobs
    return _line(await asyncio.to_thread(put, site, jobs, actor=who.actor, reason=wanted.reason, key=new_key()))


def _line(limit: SiteLimit) -> LimitLine:
    return LimitLine.model_validate(limit)
