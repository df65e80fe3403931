"""Live state as server-sent events: one run, or the whole. Each event is a whole state: nobody misses one.

A comment comes every 15 s while nothing changes. `Last-Event-ID` may be anything: whoever comes again gets the state.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from orchestrator.approvals import waiting_runs
from orchestrator.engine import Engine
from orchestrator.reporting.document import standing_document
from orchestrator.run_pages import RunsWanted, known_run, page_of_runs
from orchestrator.web.access import READS, Caller, Guarded, Who
from orchestrator.web.api.approvals import WaitingRun
from orchestrator.web.api.holds import HoldLine, hold_line
from orchestrator.web.api.runs import RunLine
from orchestrator.web.installation import Installation, engine, installation
from orchestrator.web.live import RECONNECT_MS
from orchestrator.web.parameters import Answer, RunName
from orchestrator.web.problems import declared, problem_of

router = APIRouter(tags=["live"], route_class=Guarded, dependencies=[READS])
OPEN_RUNS = 50
OVERVIEW_EVERY = 2.0
MAY_EVERY = 5.0
"""Seconds between two looks whether the token is good still."""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events; each holds a whole state.", "content": {"text/event-stream": {}}}
}


class Overview(Answer):
    """What is going on: open runs, what waits for a person, what is held, and whether the audit was whole."""

    runs: list[RunLine]
    more_runs: bool
    waiting: list[WaitingRun]
    holds: list[HoldLine]
    audit_ok: bool | None


async def _room(request: Request, who: Who) -> None:
    installation(request).live.check(who.person)


async def _watched(request: Request, run: RunName) -> str:
    there = await engine(request)
    await known_run(there.client, there.settings.task_queue, run)
    return run


@router.get("/overview", summary="The overview", responses=declared(401, 403, 422, 429, 500, 503))
async def show_overview(request: Request) -> Overview:
    """Tell what is going on now."""
    return await overview_of(installation(request))


@router.get(
    "/live",
    summary="The overview, live",
    response_class=EventSourceResponse,
    dependencies=[Depends(_room)],
    responses={**_STREAM, **declared(401, 403, 422, 429, 500, 503)},
)
async def watch_overview(request: Request, who: Who) -> AsyncIterator[ServerSentEvent]:
    """Send the overview whenever it changes: `overview`, as `GET /overview` answers it, or `trouble`."""
    there = installation(request)

    async def look() -> tuple[str, Any]:
        return "overview", (await overview_of(there)).model_dump(mode="json")

    async for event in _events(request, there, who, look, every=OVERVIEW_EVERY):
        yield event


@router.get(
    "/runs/{run}/live",
    summary="A run, live",
    response_class=EventSourceResponse,
    dependencies=[Depends(_room)],
    responses={**_STREAM, **declared(401, 403, 404, 422, 429, 500, 503)},
)
async def watch_run(
    request: Request, who: Who, run: Annotated[str, Depends(_watched)]
) -> AsyncIterator[ServerSentEvent]:
    """Send where a run stands whenever it changes: `standing`, then `ended`; `silent` while nobody can tell."""
    there = installation(request)

    async def look() -> tuple[str, Any]:
        now = await there.engine()
        execution = await known_run(now.client, now.settings.task_queue, run)
        if execution.close_time is not None:
            return "ended", {"run": run, "finished": execution.close_time.astimezone(UTC).isoformat()}
        standing = await there.board.look(now, run)
        return ("silent", {"run": run}) if standing is None else ("standing", standing_document(standing))

    async for event in _events(request, there, who, look, ends_with="ended"):
        yield event


async def overview_of(there: Installation) -> Overview:
    """Put the overview together, once for all who look at the same time."""
    found: Overview = await there.overviews.get("all", lambda: _overview(there))
    return found


async def _overview(there: Installation) -> Overview:
    now: Engine = await there.engine()
    page, waiting, standing = await asyncio.gather(
        page_of_runs(now.client, now.settings.task_queue, RunsWanted(is_open=True), limit=OPEN_RUNS),
        waiting_runs(now),
        asyncio.to_thread(now.holds.standing),
    )
    known = there.chain().known
    return Overview(
        runs=[RunLine.model_validate(one) for one in page.runs],
        more_runs=page.following is not None,
        waiting=[WaitingRun.model_validate(one) for one in waiting],
        holds=[hold_line(one) for one in standing],
        audit_ok=None if known is None else known.verdict.ok,
    )


async def _events(
    request: Request, there: Installation, who: Caller, look: Any, *, every: float = 1.0, ends_with: str = ""
) -> AsyncIterator[ServerSentEvent]:
    """Look again and again, and send what changed; whatever goes wrong is said, and tried again.

    It ends with the token of whoever looks.
    """
    last, looked = "", time.monotonic()
    async with there.live.connection(who.person):
        async for _ in there.live.steps(every):
            if time.monotonic() - looked > MAY_EVERY:
                looked = time.monotonic()
                if not await _may_still(there, who):
                    return
            try:
                name, state = await look()
            except Exception as error:
                problem = problem_of(error, request)
                name, state = "trouble", {"status": problem.status, "detail": str(problem.detail)}
            mark = hashlib.sha256(repr((name, _still(state))).encode(errors="replace")).hexdigest()[:16]
            if mark == last:
                continue
            first, last = not last, mark
            at = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{mark}"
            yield ServerSentEvent(event=name, id=at, data=state, retry=RECONNECT_MS if first else None)
            if name == ends_with:
                return


async def _may_still(there: Installation, who: Caller) -> bool:
    now = datetime.now(UTC)
    token = await asyncio.to_thread(there.tokens.get, who.token) if who.token is not None else None
    return now < who.expires and (token is None or token.trouble(now) is None)


def _still(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out what moves by itself."""
    return {name: value for name, value in state.items() if name not in ("at",)}
