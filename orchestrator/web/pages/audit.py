"""The audit: what was recorded, found by who, what, where and when, and whether it is as it was written."""

import asyncio
import json
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from activities.ledger.events import BODY, Event
from activities.ledger.finding import Page, Wanted
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live
from workflows.units import parse_duration

A_PAGE = 50
FAMILIES = sorted({f"{str(event).partition('.')[0]}.*" for event in Event})
EVENTS = sorted(map(str, Event))
_FIELDS = ("run", "event", "actor", "policy", "text", "since", "until")


class AuditPage:
    """The page of the audit, and the badge that tells whether it is whole."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def show(self, request: Request) -> Response:
        """Show a page of the wanted records, the newest first."""
        asked = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
        before, after = _place(request, "before"), _place(request, "after")
        trouble = None
        try:
            wanted = wanted_of(asked)
            page = await asyncio.to_thread(self._found, wanted, before, after)
        except ValueError as error:
            trouble, page = str(error), Page([])
        return await self._frame.page(
            request,
            "audit.html",
            records=page.records[::-1],
            older=page.older,
            newer=page.newer if before is not None or after is not None else None,
            asked=asked,
            trouble=trouble,
            families=FAMILIES,
            events=EVENTS,
        )

    async def record(self, request: Request) -> Response:
        """Show one record, whole."""
        seq = request.path_params["seq"]
        record = await asyncio.to_thread(self._live.engine.log.at, seq) if seq < 1 << 53 else None
        if record is None:
            raise Refused(404, "No such record", f"The audit has no record {seq}.", "/audit", "The audit")
        event = record.event
        told = BODY[Event(event)] if event in set(Event) else {}
        return await self._frame.page(
            request, "audit_record.html", record=record, told=told,
            body=json.dumps(record.body, indent=2, ensure_ascii=False),
        )  # fmt: skip

    async def verify(self, request: Request) -> Response:
        """Walk the whole audit now, and show the page again."""
        if self._frame.verification is not None:
            await self._frame.verification.look(everything=True)
        return Response(status_code=303, headers={"Location": "/audit?done=verified"})

    async def badge(self, request: Request) -> Response:
        """Show the badge as it is now."""
        return await self._frame.part(request, "badge.html", linked=False)

    def _found(self, wanted: Wanted, before: int | None, after: int | None) -> Page:
        log = self._live.engine.log
        return log.find(wanted, before=before, after=after, limit=A_PAGE) if log.is_there() else Page([])


def wanted_of(asked: dict[str, str]) -> Wanted:
    """Read what is looked for. Raises ValueError."""
    given = {name: value or None for name, value in asked.items()}
    return Wanted(
        run=given["run"],
        event=given["event"],
        actor=given["actor"],
        policy=given["policy"],
        text=given["text"],
        since=_moment(given["since"], "since"),
        until=_moment(given["until"], "until"),
    )


def _moment(text: str | None, what: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - parse_duration(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{what}: expected a time such as 2026-05-01T10:00Z or an age such as 2h") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _place(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 16 else None
