"""The audit: its records a page at a time, one of them, and whether the chain is whole."""

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from activities.ledger.finding import Wanted
from activities.ledger.records import Stored
from orchestrator.auditing.watching import Watched
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import installation
from orchestrator.web.parameters import Answer, Limit, OfPolicy, OfRun, Sequence, Since, Until, Word
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
    """Whether the chain is whole; `head` is the hash of the last good record."""

    ok: bool
    count: int
    head: str
    broken_at: int | None
    why: str | None
    looked: datetime
    whole: datetime | None = Field(description="When every record had last been gone through.")


@router.get("", summary="List audit records", responses=declared(401, 403, 422, 429, 500, 503))
async def list_records(
    request: Request,
    run: OfRun = None,
    event: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,40}\.([a-z_]{1,40}|\*)$", description="`run.paused`, or `run.*`.")
    ] = None,
    actor: Annotated[Word, Query(description="The person, at any host, or exactly `person@host`.")] = None,
    policy: OfPolicy = None,
    text: Annotated[Word, Query(description="What stands in it, in any case.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1, description="`next` of the page before.")] = None,
) -> AuditPage:
    """List the records, the newest first; pages hang on sequences, so that new records move none of them."""
    log = installation(request).log
    wanted = Wanted(run=run, event=event, actor=actor, policy=policy, text=text, since=since, until=until)
    page = await asyncio.to_thread(log.find, wanted, before=before, limit=limit)
    return AuditPage(records=[_entry(one) for one in reversed(page.records)], next=page.older)


@router.get("/verdict", summary="Whether the audit is whole", responses=declared(401, 403, 422, 429, 500, 503))
async def show_verdict(
    request: Request,
    full: Annotated[bool, Query(description="Walk every record now, whatever it costs.")] = False,
) -> ChainVerdict:
    """Tell whether the chain is whole: what is new is verified now, all else a part at each look."""
    watch = installation(request).chain()
    return _verdict(await asyncio.to_thread(watch.full if full else watch.look))


@router.get("/{seq}", summary="Show an audit record", responses=declared(401, 403, 404, 422, 429, 500, 503))
async def show_record(request: Request, seq: Sequence) -> AuditEntry:
    """Show one record by its place in the chain."""
    log = installation(request).log
    found = await asyncio.to_thread(log.at, seq)
    if found is None:
        raise unknown(f"There is no record {seq}.")
    return _entry(found)


def _entry(one: Stored) -> AuditEntry:
    return AuditEntry.model_validate(one)


def _verdict(watched: Watched) -> ChainVerdict:
    told = watched.verdict.model_dump(include=set(ChainVerdict.model_fields))
    return ChainVerdict(**told, looked=watched.looked, whole=watched.whole)
