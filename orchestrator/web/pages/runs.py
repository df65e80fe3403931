"""The list of runs: the open ones as Temporal tells of them, all others as the audit does, which forgets none."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from activities.ledger.events import Event
from activities.ledger.finding import Wanted
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored, quoted
from orchestrator.reporting.standing import Standing
from orchestrator.runs import RunSummary
from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.live import Live
from workflows.run import RunState

A_PAGE = 50
STATES = tuple(str(one) for one in RunState if one.final)


@dataclass(frozen=True)
class Row:
    """One run of the list."""

    run: str
    policy: str
    site: str | None
    state: str
    actor: str
    reason: str
    started: datetime | str
    finished: str | None = None
    files: int | None = None
    done: int | None = None
    failed: int | None = None
    bytes_done: int | None = None
    trouble: str | None = None


@dataclass(frozen=True)
class Rows:
    """A page of the list; `older` and `newer` name the pages beside it by a record's sequence."""

    rows: list[Row]
    older: int | None
    newer: int | None


class RunList:
    """The page of all runs."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def show(self, request: Request) -> Response:
        """Show the open runs, and a page of those that have ended."""
        policy, state = request.query_params.get("policy", ""), request.query_params.get("state", "")
        before, after = _place(request, "before"), _place(request, "after")
        first = before is None and after is None
        open_rows: list[Row] = []
        if first and not state:
            open_rows = [row_of(one) for one in await self._live.open_runs.get() if policy in ("", one.policy)]
        ended = await asyncio.to_thread(ended_runs, self._live.engine.log, policy, state, before, after)
        over = {one.run for one in ended.rows}  # Temporal's list is a moment behind
        open_rows = [one for one in open_rows if one.run not in over]
        return await self._frame.page(
            request, "runs.html", open_rows=open_rows, ended=ended, policy=policy, state=state, states=STATES,
            first=first,
        )  # fmt: skip


def row_of(summary: RunSummary, standing: Standing | Exception | None = None) -> Row:
    """Tell of an open run; with what it says itself where it was asked."""
    state = summary.state
    if isinstance(standing, Standing):
        state = str(standing.progress.state)
    return Row(
        run=summary.run,
        policy=summary.policy,
        site=summary.site,
        state=state,
        actor=summary.actor,
        reason=summary.reason,
        started=summary.started,
    )


def ended_runs(
    log: AuditLog, policy: str = "", state: str = "", before: int | None = None, after: int | None = None,
    limit: int = A_PAGE,
) -> Rows:  # fmt: skip
    """Give a page of ended runs, the newest first."""
    if not log.is_there():
        return Rows([], None, None)
    said = [f'"policy":{quoted(policy)}'] if policy else []
    said += [f'"state":"{state}"'] if state in STATES else []
    wanted = Wanted(event=Event.RUN_ENDED, said=tuple(said))
    page = log.find(wanted, before=before, after=after, limit=limit)
    begun = log.first_of_runs([str(one.run) for one in page.records], Event.RUN_STARTED)
    newer = None if before is None and after is None else page.newer
    rows = [ended_row(one, begun.get(str(one.run))) for one in reversed(page.records)]
    return Rows(rows, page.older, newer)


def ended_row(record: Stored, begun: Stored | None) -> Row:
    """Tell of an ended run by its last record and its first."""
    body: dict[str, Any] = record.body
    counts = body["outcomes"]
    failed = sum(counts.get("failed", {}).values())
    skipped = sum(counts.get("skipped", {}).values())
    done = int(counts.get("done", 0))
    first: dict[str, Any] = begun.body if begun is not None else {}
    return Row(
        run=str(record.run),
        policy=str(body["policy"]),
        site=first.get("site"),
        state=str(body["state"]),
        actor=begun.actor if begun is not None else "",
        reason=str(first.get("reason") or ""),
        started=body.get("started") or record.at,
        finished=body.get("finished") or record.at,
        files=done + failed + skipped + int(counts.get("cancelled", 0)) + int(counts.get("quarantined", 0)),
        done=done,
        failed=failed,
        bytes_done=int(counts.get("bytes_done", 0)),
        trouble=body.get("trouble"),
    )


def _place(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 18 else None
