"""Starts: what the triggers wished for, and what became of each."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request

from orchestrator.start_records import start_records
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import installation
from orchestrator.web.parameters import Answer, Limit, OfPolicy
from orchestrator.web.problems import declared

router = APIRouter(prefix="/starts", tags=["starts"], route_class=Guarded, dependencies=[READS])


class StartLine(Answer):
    """One start: by which trigger it was wished for, and what became of it."""

    at: datetime
    state: Literal["begun", "queued", "skipped", "missed"]
    actor: str
    policy: str
    site: str
    kind: str
    text: str
    scheduled: str | None = None
    run: str | None = None
    why: str | None = None


class StartList(Answer):
    """The newest starts, the newest first."""

    starts: list[StartLine]


@router.get("", summary="List starts", responses=declared(401, 403, 422, 429, 500, 503))
async def list_starts(
    request: Request,
    policy: OfPolicy = None,
    state: Annotated[
        Literal["begun", "queued", "skipped", "missed"] | None, Query(description="Only those that ended so.")
    ] = None,
    limit: Limit = 50,
) -> StartList:
    """List the starts that were wished for; one that was queued and then began is told once, as begun."""
    settings = installation(request).given
    found = await asyncio.to_thread(start_records, settings, policy=policy, state=state, limit=limit)
    return StartList(starts=[StartLine.model_validate(one) for one in found])
