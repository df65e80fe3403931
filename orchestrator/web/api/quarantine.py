"""The quarantine: files that keep failing and are left alone; list, look at one, let them be tried again."""

import asyncio
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field, model_validator
from starlette.requests import Request

from activities.quarantine import Failing, Quarantine, Which
from orchestrator.releasing import release as let_go
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.installation import installation
from orchestrator.web.parameters import (
    Answer,
    Body,
    FilesLimit,
    Maybe,
    NeededReason,
    Offset,
    OfSite,
    PathText,
    Site,
    Word,
    needs_one_of,
)
from orchestrator.web.problems import declared, unknown
from workflows.names import to_path

router = APIRouter(prefix="/quarantine", tags=["quarantine"], route_class=Guarded)

_CHOICES = ("paths", "failed", "every")


class FailingFile(Answer):
    """A file that failed: how often in a row, how and when last; left alone while `quarantined`."""

    site: str
    path: str
    tries: int
    reason: str
    message: str
    first: datetime
    last: datetime
    run: str
    since: datetime | None
    until: datetime | None
    quarantined: bool


class Tally(Answer):
    """How many files of a site are left alone, by the reason of their last failure."""

    site: str
    reason: str
    files: int


class QuarantineList(Answer):
    """A page of the files that are left alone, the newest first, and how many there are in all."""

    files: list[FailingFile]
    tally: list[Tally]
    next: int | None = Field(description="`offset` of the next page; null at the end.")


class FileTries(Answer):
    """What is known of one file, at each site where it failed."""

    files: list[FailingFile]


class Releasing(Body):
    """Which files are planned again: named ones, all with a reason of failure, or all; one of these."""

    why: NeededReason
    model_config = ConfigDict(json_schema_extra=needs_one_of(*_CHOICES, only_one=True))

    paths: Maybe[Annotated[tuple[PathText, ...], Field(min_length=1, max_length=500, description="Path texts.")]] = None
    failed: Maybe[Annotated[str, Field(min_length=1, max_length=100, description="All that failed so.")]] = None
    every: Maybe[Literal[True]] = None
    site: Maybe[Site] = None

    @model_validator(mode="after")
    def _one_choice(self) -> "Releasing":
        if len(self.model_fields_set & set(_CHOICES)) != 1:
            raise ValueError(f"expects exactly one of {', '.join(_CHOICES)}")
        return self


class Released(Answer):
    """How many files are planned again."""

    released: int


@router.get("", summary="List the quarantine", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_quarantine(
    request: Request, site: OfSite = None, failed: Word = None, limit: FilesLimit = 100, offset: Offset = 0
) -> QuarantineList:
    """List the files that no policy plans until they are released or their time is over."""
    which = Which(site=site, reason=failed)

    def look(quarantine: Quarantine) -> QuarantineList:
        counts = quarantine.tally(which)
        found = list(islice(quarantine.listed(which, offset + limit), offset, None))
        following = offset + len(found)
        return QuarantineList(
            files=[_file(one) for one in found],
            tally=[Tally(site=at, reason=why, files=files) for (at, why), files in counts.items()],
            next=following if found and following < sum(counts.values()) else None,
        )

    found: QuarantineList = await _asked(request, look)
    return found


@router.get(
    "/file", summary="Show a file's tries", dependencies=[READS], responses=declared(401, 403, 404, 422, 429, 500, 503)
)
async def show_file(
    request: Request,
    path: Annotated[str, Query(min_length=1, max_length=4096, description="The file's path text.")],
    site: OfSite = None,
) -> FileTries:
    """Show what is known of one file, whether it is left alone or not."""
    found = await _asked(request, lambda quarantine: quarantine.find(to_path(path), site))
    if not found:
        raise unknown("This file has not failed since it last succeeded.")
    return FileTries(files=[_file(one) for one in found])


@router.post(
    "/release",
    summary="Release files",
    dependencies=[STEERS],
    responses=declared(400, 401, 403, 408, 413, 422, 429, 500, 503),
)
async def release(request: Request, who: Who, wanted: Releasing) -> Released:
    """Let files be planned again, as if they had never failed."""
    log = installation(request).log
    which = Which(site=wanted.site, reason=wanted.failed, paths=tuple(to_path(path) for path in wanted.paths or ()))
    count = await _asked(request, lambda quarantine: let_go(quarantine, log, which, actor=who.actor, reason=wanted.why))
    return Released(released=count)


async def _asked(request: Request, ask: Any) -> Any:
    settings = installation(request).given

    def look() -> Any:
        quarantine = Quarantine(settings.quarantine.get_secret_value())
        try:
            return ask(quarantine)
        finally:
            quarantine.close()

    return await asyncio.to_thread(look)


def _file(one: Failing) -> FailingFile:
    return FailingFile(
        site=one.site,
        path=one.path,
        tries=one.tries,
        reason=one.reason,
        message=one.message,
        first=one.first,
        last=one.last,
        run=one.run,
        since=one.since,
        until=one.until,
        quarantined=one.set_aside,
    )
