"""The worker's door for those who watch over it: `/healthz`, `/readyz`, `/metrics`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator import health
from orchestrator.health import Health
from orchestrator.observing.exposition import CONTENT_TYPE, Exposition
from orchestrator.settings import Settings

HUB_ANSWERS_WITHIN = 5.0


def door(settings: Settings, exposition: Exposition, works: Callable[[], bool]) -> Starlette:
    """Make the application; `works` tells whether the worker takes tasks."""

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        found = await asyncio.gather(
            health.temporal(settings),
            asyncio.to_thread(health.audit, settings),
            health.hub(settings, within=HUB_ANSWERS_WITHIN),
        )
        flat = [found[0], found[1], *found[2]]
        reasons = {one.about.lower(): one.sentence for one in flat if one.health is Health.FAIL}
        if not works():
            reasons["worker"] = "the worker takes no tasks."
        return JSONResponse({"status": "fail" if reasons else "ok", "reasons": reasons}, 503 if reasons else 200)

    async def metrics(request: Request) -> Response:
        return Response(await exposition.text(), headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)])


@asynccontextmanager
async def open_door(application: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Listen for as long as the block lasts, and give the port. Raises OSError when the address is taken."""
    config = uvicorn.Config(application, log_config=None, access_log=False, server_header=False)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        server = _Quiet(config)
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
