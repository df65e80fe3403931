"""The page of one file: what happened to it, over all runs."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.auditing.files import FileHistory, history_of
from orchestrator.web.pages.frame import Frame
from orchestrator.web.pages.live import Live
from workflows.names import to_path

MOST_RUNS = 50
AT_ONCE = 2
"""So many looks go on at a time: each reads the tables of every run."""
_LONGEST = 4096


class FilePage:
    """Asks for a path, and tells what the audit and the storage know of it."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def show(self, request: Request) -> Response:
        """Show the form, and the file's history where one is named, as a person writes it or in path text."""
        path = request.query_params.get("path", "").strip()[:_LONGEST]
        site = request.query_params.get("site", "").strip()[:_LONGEST]
        found = await self._look(to_path(path), site or None) if path else None
        return await self._frame.page(request, "audit_file.html", path=path, site=site, found=found)

    async def _look(self, path: str, site: str | None) -> FileHistory:
        settings = self._live.engine.settings
        async with self._gate:
            return await asyncio.to_thread(history_of, settings, path, site, most=MOST_RUNS)
