"""Counts the requests of the web server, by the route's pattern: what a caller writes is no label."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.metrics import API_REQUESTS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class CountedRequests:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), "none"

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = f"{message['status'] // 100}xx"
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            API_REQUESTS.labels(method, _route(scope), status).observe(time.perf_counter() - began)


def _route(scope: Scope) -> str:
    """Give the pattern of the route that answered; routers leave it, or the endpoint's name, in the scope."""
    route: Any = scope.get("route")
    path = getattr(route, "path", None)
    if path is None and (endpoint := scope.get("endpoint")) is not None:
        path = getattr(endpoint, "__qualname__", "?").rpartition(".")[2]
    return str(path or "none")
