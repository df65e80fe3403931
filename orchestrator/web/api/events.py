"""Events from elsewhere as they were received: list, show, act on one again. Sending them is `POST /events`, signed."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import JsonValue
from starlette.requests import Request

from activities.ledger.log import AuditLog
from activities.router_line import RouterBusy, tell_router
from orchestrator.event_records import event_records, find_event, replayed
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.installation import answered, engine, installation
from orchestrator.web.parameters import Answer, Body, Limit, NeededReason
from orchestrator.web.problems import Problem, away, declared, unknown
from orchestrator.web.repeats import once

router = APIRouter(prefix="/events", tags=["events"], route_class=Guarded)

EventId = Annotated[str, Query(min_length=1, max_length=2100, description="The event's id, or SOURCE/ID.")]


class Match(Answer):
    """A trigger of a policy that wanted the event."""

    policy: str
    trigger: int


class EventStart(Answer):
    """What an event started, alone or with others of its burst."""

    policy: str
    site: str
    state: str
    run: str | None = None
    why: str | None = None
    together_with: str | None = None


class EventLine(Answer):
    """One event, which policies wanted it, and what it started."""

    at: datetime
    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    attributes: dict[str, JsonValue]
    data: JsonValue
    matched: list[Match]
    starts: list[EventStart]


class EventList(Answer):
    """The newest events, the newest first."""

    events: list[EventLine]


class Replaying(Body):
    """Which event to act on again, and why."""

    id: Annotated[str, Query(min_length=1, max_length=2100, description="The event's id, or SOURCE/ID.")]
    reason: NeededReason


class Replayed(Answer):
    """The new event that says what the old one said."""

    id: str
    replay_of: str


@router.get("", summary="List events", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_events(
    request: Request,
    kind: Annotated[
        str | None, Query(alias="type", min_length=1, max_length=1024, description="Only of this type.")
    ] = None,
    unmatched: Annotated[bool, Query(description="Only those that no policy wants.")] = False,
    limit: Limit = 50,
) -> EventList:
    """List the events that were received, which policies wanted each, and the runs that they started."""
    log = installation(request).log
    found = await asyncio.to_thread(event_records, log, limit=limit, unmatched=unmatched, kind=kind)
    return EventList(events=[_line(one) for one in found])


@router.get(
    "/one", summary="Show an event", dependencies=[READS], responses=declared(401, 403, 404, 409, 422, 429, 500, 503)
)
async def show_event(request: Request, id: EventId) -> EventLine:
    """Show one event; its id is a parameter, since ids may hold anything that a path may not."""
    return _line(await _one(installation(request).log, id))


@router.post(
    "/replay",
    summary="Act on an event again",
    status_code=202,
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503),
)
async def replay(request: Request, who: Who, wanted: Replaying) -> Replayed:
    """Tell an event again, under a new id, with the old one, who wants it and why."""
    there = await engine(request)
    again = replayed(await _one(there.log, wanted.id), actor=who.actor, reason=wanted.reason, once=once(request))
    try:
        await answered(lambda: tell_router(there.client, there.settings.task_queue, [again]))
    except RouterBusy as error:
        raise away(str(error)) from None
    return Replayed(id=again.id, replay_of=str(again.attributes["replayof"]))


async def _one(log: AuditLog, name: str) -> dict[str, Any]:
    found = await asyncio.to_thread(find_event, log, name)
    if not found:
        raise unknown("No event of this id was received.")
    if len({one["source"] for one in found}) > 1:
        raise Problem(409, "conflict", "Events of several sources have this id: name it as SOURCE/ID.")
    one: dict[str, Any] = found[-1]
    return one


def _line(one: dict[str, Any]) -> EventLine:
    starts = [
        EventStart(
            policy=each["policy"],
            site=each["site"],
            state=each["state"],
            run=each.get("run"),
            why=each.get("why"),
            together_with=each.get("with"),
        )
        for each in one["starts"]
    ]
    return EventLine.model_validate({**one, "starts": starts})
