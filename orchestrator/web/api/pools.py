"""Pools: how full they are, what is done about it, and how they came there."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from orchestrator.engine import Engine
from orchestrator.pool_views import PoolView, pool_history, pool_views
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import engine
from orchestrator.web.parameters import Answer, Since
from orchestrator.web.problems import Problem, declared, unknown
from workflows.pools import PoolRef, PoolState

router = APIRouter(prefix="/pools", tags=["pools"], route_class=Guarded, dependencies=[READS])
SiteName = Annotated[str, Query(min_length=1, max_length=200, description="The site.")]
PoolName = Annotated[str, Query(min_length=1, max_length=200, description="The pool, by its name.")]
_MOST_SAMPLES = 2_000


class TimeTo(Answer):
    """Seconds until a level is reached: expected, soonest, latest; null is unknown, or never."""

    expected_s: float | None
    soonest_s: float | None
    latest_s: float | None


class PoolLine(Answer):
    """One pool; one that nobody watches has no marks and no state."""

    site: str
    filesystem: str | None
    pool: str
    used: int | None
    capacity: int | None
    percent: float | None
    measured: datetime | None
    upper: float | None
    lower: float | None
    state: PoolState | None
    bytes_a_day: int | None
    to_upper: TimeTo
    to_full: TimeTo
    policies: list[str]
    acts_next: str | None
    run: str | None
    waits_for: str | None


class PoolList(Answer):
    """All pools, by site and name."""

    pools: list[PoolLine]
    watchers: bool = Field(description="False when no worker answered for the watched pools: levels alone are told.")


class PoolSample(Answer):
    """A pool as it was measured once."""

    at: datetime
    used: int
    capacity: int


class PoolHistory(Answer):
    """The measured levels of a pool, the oldest first; of very many every so manieth, `every`."""

    site: str
    filesystem: str | None
    pool: str
    samples: list[PoolSample]
    every: int


@router.get("", summary="List pools", responses=declared(401, 403, 422, 429, 500, 503))
async def list_pools(request: Request) -> PoolList:
    """List the pools: level, marks, state, trend, time to the upper mark and to full, the policy that will act."""
    views, watchers = await views_of(await engine(request))
    return PoolList(pools=[_line(view) for view in views], watchers=watchers)


@router.get("/history", summary="A pool's levels", responses=declared(401, 403, 404, 409, 422, 429, 500, 503))
async def show_history(
    request: Request,
    site: SiteName,
    pool: PoolName,
    filesystem: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    since: Since = None,
) -> PoolHistory:
    """Give the measured levels of a pool, of the last 7 days unless another time is named."""
    there = await engine(request)
    views, _ = await views_of(there)
    found = [
        view.ref
        for view in views
        if (view.ref.site, view.ref.pool) == (site, pool) and filesystem in (None, view.ref.filesystem)
    ]
    if not found:
        raise unknown("No such pool was measured yet.")
    if len(found) > 1:
        raise Problem(409, "conflict", "There are several pools of that name: name the file system too.")
    start = since or datetime.now(UTC) - timedelta(days=7)
    return await asyncio.to_thread(_history, there, found[0], start)


async def views_of(there: Engine) -> tuple[list[PoolView], bool]:
    """Put the pools together; without a worker that answers the measured levels are left, and False."""
    from orchestrator.applied import NoWorker

    try:
        statuses = await there.watches.all()
        waits = await there.watches.what_runs_wait_for(statuses)
    except NoWorker:
        return await asyncio.to_thread(pool_views, there.settings, []), False
    return await asyncio.to_thread(pool_views, there.settings, statuses, waits), True


def _history(there: Engine, ref: PoolRef, start: datetime) -> PoolHistory:
    levels = pool_history(there.settings, ref, start)
    every = max(1, -(-len(levels) // _MOST_SAMPLES))
    kept = levels[::-1][::every][::-1]  # The newest one always stays.
    samples = [PoolSample(at=one.at, used=one.used, capacity=one.capacity) for one in kept]
    return PoolHistory(site=ref.site, filesystem=ref.filesystem, pool=ref.pool, samples=samples, every=every)


def _line(view: PoolView) -> PoolLine:
    status, level = view.status, view.level
    return PoolLine(
        site=view.ref.site,
        filesystem=view.ref.filesystem,
        pool=view.ref.pool,
        used=None if level is None else level.used,
        capacity=None if level is None else level.capacity,
        percent=None if level is None else round(level.percent, 3),
        measured=None if level is None else level.at,
        upper=view.upper,
        lower=view.lower,
        state=view.state,
        bytes_a_day=None if view.trend is None else round(view.trend.slope * 86_400),
        to_upper=_time_to(view, view.upper),
        to_full=_time_to(view, 100.0),
        policies=[] if status is None else sorted({entry.policy for entry in status.entries}),
        acts_next=None if status is None else status.next_policy,
        run=None if status is None else status.run,
        waits_for=view.waits,
    )


def _time_to(view: PoolView, percent: float | None) -> TimeTo:
    expected, soonest, latest = (None if one is None else one.total_seconds() for one in view.time_to(percent))
    return TimeTo(expected_s=expected, soonest_s=soonest, latest_s=latest)
