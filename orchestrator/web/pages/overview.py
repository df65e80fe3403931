"""The overview: what runs, what waits for a person, what is wrong, how full the pools are, and what starts next."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from temporalio.service import RPCError

from activities.ledger.events import Event
from activities.ledger.finding import Wanted
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from orchestrator.applied import NoWorker
from orchestrator.pool_views import PoolView
from orchestrator.reporting.standing import Standing
from orchestrator.runs import RunSummary
from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.live import Live, NextStart, soonest
from orchestrator.web.pages.run import Bar, bar_of
from orchestrator.web.pages.runs import Row, row_of
from workflows.run import ApprovalWanted, RunState

SHOWN = 12
"""Of more open runs the overview shows the newest."""
WRONG_SINCE = timedelta(days=7)
MOST_WRONG = 8
MOST_NEXT = 6
ANSWERED_WITHIN = 6.0


@dataclass(frozen=True)
class Going:
    """An open run with its bar; without a standing it does not answer."""

    row: Row
    standing: Standing | None
    bar: Bar | None
    approval: ApprovalWanted | None

    @property
    def waits(self) -> str | None:
        """What it waits for."""
        return self.standing.progress.waits_for if self.standing is not None else None


@dataclass(frozen=True)
class Wrong:
    """Something that somebody should see to: when, what, why, and where to look."""

    at: str
    what: str
    why: str
    link: str
    state: str = "failed"


class Overview:
    """The first page."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def show(self, request: Request) -> Response:
        """Show it."""
        return await self._frame.page(request, "overview.html", **await self._values())

    async def fresh(self, request: Request) -> Response:
        """Show the part of it that changes from moment to moment."""
        return await self._frame.part(request, "overview_now.html", **await self._values())

    async def _values(self) -> dict[str, Any]:
        going, pools, starts, wrong, versions = await asyncio.gather(
            self._going(),
            self._pools(),
            self._live.next_starts.get(),
            asyncio.to_thread(wrong_lately, self._live.engine.log, datetime.now(UTC) - WRONG_SINCE),
            self._live.versions.get(),
        )
        runs, in_all, silent = going
        asked = [one for one in runs if one.approval is not None]
        paused = [one for one in runs if one.row.state == RunState.PAUSED]
        next_starts: list[NextStart] = soonest(starts, MOST_NEXT)
        applied = sum(not one.removed for one in versions.values())
        return {
            "runs": runs, "in_all": in_all, "silent": silent, "asked": asked, "paused": paused, "pools": pools,
            "next_starts": next_starts, "wrong": wrong, "applied": applied,
        }  # fmt: skip

    async def _going(self) -> tuple[list[Going], int, str | None]:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                found: list[RunSummary] = await self._live.open_runs.get()
        except (TimeoutError, RPCError) as error:
            return [], 0, str(error) or "Temporal does not answer"
        standings: dict[str, Standing | Exception] = {}
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                standings = await self._live.standings_of(one.run for one in found[:SHOWN])
        except TimeoutError:
            pass
        return [_going(one, standings.get(one.run)) for one in found[:SHOWN]], len(found), None

    async def _pools(self) -> list[PoolView] | None:
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await self._live.pools.get()
        except (TimeoutError, NoWorker, RPCError):
            return None


def _going(summary: RunSummary, standing: Standing | Exception | None) -> Going:
    if not isinstance(standing, Standing):
        return Going(row_of(summary), None, None, None)
    progress = standing.progress
    bar = bar_of(progress.counts, progress.files, final=progress.state.final) if progress.files else None
    return Going(row_of(summary, standing), standing, bar, progress.status.approval)


def wrong_lately(log: AuditLog, since: datetime) -> list[Wrong]:
    """Give what went wrong, the newest first: failed runs, alerts of pools, missed starts, schedules that run out."""
    if not log.is_there():
        return []
    failed = Wanted(event=Event.RUN_ENDED, since=since, said=('"state":"failed"',))
    found: list[Stored] = list(log.find(failed, limit=MOST_WRONG).records)
    for event in (Event.POOL_ALERT, Event.START_MISSED, Event.SCHEDULES_RUNNING_OUT):
        found += log.records(event=event, since=since, limit=MOST_WRONG, newest=True)
    return [_wrong(one) for one in sorted(found, key=lambda record: -record.seq)[:MOST_WRONG]]


def _wrong(record: Stored) -> Wrong:
    body = record.body
    match record.event:
        case Event.RUN_ENDED:
            failed = sum(body["outcomes"].get("failed", {}).values())
            why = body.get("trouble") or f"{failed:,} files failed"
            return Wrong(record.at, f"Run of {body['policy']} failed", str(why), f"/runs/{record.run}")
        case Event.POOL_ALERT:
            names = [one for one in (body["site"], body.get("filesystem"), body["pool"]) if one]
            return Wrong(record.at, f"Pool {body['pool']}", str(body["why"]), f"/pools/{'/'.join(names)}", "critical")
        case Event.START_MISSED:
            what = f"A start of {body['policy']} was missed"
            return Wrong(record.at, what, str(body["why"]), f"/policies/{body['policy']}", "missed")
        case _:
            return Wrong(record.at, "Schedules run out", str(body.get("error", "")), f"/audit/{record.seq}", "error")
