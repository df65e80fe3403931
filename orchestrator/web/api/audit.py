"""The audit: its records a page at a time, one of them, and whether the chain is whole."""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from activities.ledger.events import Event
from activities.ledger.records import Stored
from activities.ledger.verdict import Verdict
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import engine, installation
from orchestrator.web.parameters import Answer, Limit, OfRun, Sequence, Since
from orchestrator.web.problems import declared, unknown

router = APIRouter(prefix="/audit", tags=["audit"], route_class=Guarded, dependencies=[READS])


class AuditEntry(Answer):
    """A record as it stands in the chain."""

    seq: int
    at: datetime
    actor: str
    run: str | None
    event: str
    key: str
    body: dict[str, JsonValue]
    prev_hash: str
    hash: str


class AuditPage(Answer):
    """A page of records, the newest first."""

    records: list[AuditEntry]
    next: int | None = Field(description="`before` of the next page; null at the end.")


class ChainVerdict(Answer):
    """Whether the chain is whole; `head` is the hash of the last good record. `at` says when it was walked."""

    ok: bool
    count: int
    head: str
    broken_at: int | None
    why: str | None
    at: datetime


@router.get("", summary="List audit records", responses=declared(401, 403, 422, 429, 500, 503))
async def list_records(
    request: Request,
    run: OfRun = None,
    event: Annotated[Event | None, Query(description="Only this event.")] = None,
    since: Since = None,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1, description="`next` of the page before.")] = None,
) -> AuditPage:
    """List the records, the newest first; pages hang on sequences, so new records move none of them."""
    there = await engine(request)
    page = await asyncio.to_thread(
        there.log.page, run=run, event=event, since=since, before=before, limit=limit
    )
    records = [_entry(one) for one in reversed(page.records)]
    return AuditPage(records=records, next=page.older)


@router.get("/verdict", summary="Verify the chain", responses=declared(401, 403, 422, 429, 500, 503))
async def show_verdict(request: Request) -> ChainVerdict:
    """Tell whether every record is as it was written: the whole chain is walked, at most every few seconds."""
    found: ChainVerdict = await installation(request).verdict(await engine(request))
    return found


@router.get("/{seq}", summary="Show an audit record", responses=declared(401, 403, 404, 422, 429, 500, 503))
async def show_record(request: Request, seq: Sequence) -> AuditEntry:
    """Show one record by its place in the chain."""
    log = (await engine(request)).log
    found = await asyncio.to_thread(log.records, after=seq - 1, limit=1)
    if not found or found[0].seq != seq:
        raise unknown(f"There is no record {seq}.")
    return _entry(found[0])


def _entry(one: Stored) -> AuditEntry:
    return AuditEntry.model_validate(one)


def verdict_of(verdict: Verdict, at: datetime) -> ChainVerdict:
    """Write a verdict."""
    return ChainVerdict(**verdict.model_dump(include=set(ChainVerdict.model_fields)), at=at)
