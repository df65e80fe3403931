"""Limits of a site, a queue or a target, over all runs."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from pydantic import ConfigDict, Field, model_validator
from starlette.requests import Request

from activities.limits import JobLimits, Lane, Limit
from orchestrator.holding import known_sites
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.api.holds import new_key
from orchestrator.web.installation import engine, installation
from orchestrator.web.parameters import Answer, Body, Reason, Site, needs_one_of
from orchestrator.web.problems import declared, unknown

router = APIRouter(prefix="/limits", tags=["limits"], route_class=Guarded)


class LimitLine(Answer):
    """The jobs of all runs that may be in flight at a site, in a queue of it or for a target; null is any, or none."""

    site: str | None
    queue: str | None
    target: str | None
    jobs: int | None
    actor: str
    reason: str
    since: datetime


class LimitList(Answer):
    """The limits that hold."""

    limits: list[LimitLine]


class NewLimit(Body):
    """A new limit of a site, of a queue of that site, or of a target; `off` lifts the one that holds."""

    model_config = ConfigDict(
        json_schema_extra={**needs_one_of("site", "target"), "dependentRequired": {"queue": ["site"]}}
    )

    site: Site = ""
    queue: Annotated[Site, Field(description="A queue of the site.")] = ""
    target: Annotated[Site, Field(description="Where the files go, as `run.target` of a policy.")] = ""
    jobs: Annotated[int, Field(ge=1, le=100_000)] | Literal["off"]
    reason: Reason = ""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.site or self.target):
            raise ValueError("name a site or a target")
        if self.queue and not self.site:
            raise ValueError("a queue is one of a site: name that too")
        return self


@router.get("", summary="List limits", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_limits(request: Request) -> LimitList:
    """List the limits that hold."""
    log = installation(request).log
    standing = await asyncio.to_thread(JobLimits(log).standing)
    return LimitList(limits=[_line(one) for one in standing])


@router.put(
    "",
    summary="Set a limit",
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 404, 408, 413, 422, 429, 500, 503),
)
async def set_limit(request: Request, who: Who, wanted: NewLimit) -> LimitLine:
    """Bound the jobs in flight, whatever the runs may do; jobs that are there already end by themselves.

    Of several limits the strictest wins.
    """
    there = await engine(request)
    known = await known_sites(there)
    if wanted.site and wanted.site not in known:
        raise unknown(f"No policy and no run is at this site; known: {', '.join(sorted(known)) or 'none yet'}.")
    put, jobs = JobLimits(there.log).put, None if wanted.jobs == "off" else wanted.jobs
    lane = Lane(wanted.site, wanted.queue, wanted.target)
    return _line(await asyncio.to_thread(put, lane, jobs, actor=who.actor, reason=wanted.reason, key=new_key(request)))


def _line(limit: Limit) -> LimitLine:
    lane = limit.lane
    where = {"site": lane.site or None, "queue": lane.queue or None, "target": lane.target or None}
    return LimitLine(**where, jobs=limit.jobs, actor=limit.actor, reason=limit.reason, since=limit.since)
