"""The events that were received: what each said, which policies wanted it, and what became of that."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from activities.ledger.events import Event
from activities.ledger.finding import Page, Wanted
from orchestrator.event_records import find_event
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live

A_PAGE = 50


class EventPages:
    """The list of events, and the page of each."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live

    async def index(self, request: Request) -> Response:
        """Show a page of events, the newest first."""
        query = request.query_params
        text = query.get("before", "")
        before = int(text) if text.isdecimal() and len(text) < 16 else None
        wanted = Wanted(event=Event.EVENT_RECEIVED, text=query.get("text", "").strip() or None)
        page = await asyncio.to_thread(self._found, wanted, before)
        return await self._frame.page(
            request, "events.html", records=page.records[::-1], older=page.older, text=query.get("text", ""),
            first=before is None,
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Show what one event said, and the starts that it is part of."""
        name = request.path_params["name"]
        found = await asyncio.to_thread(find_event, self._live.engine.log, name)
        if not found:
            raise Refused(404, "No such event", f"No event {name} was received.", "/events", "All events")
        return await self._frame.page(request, "event.html", name=name, found=found)

    def _found(self, wanted: Wanted, before: int | None) -> Page:
        log = self._live.engine.log
        return log.find(wanted, before=before, limit=A_PAGE) if log.is_there() else Page([])
