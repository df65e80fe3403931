"""Counts the requests of the web server, by the route's pattern: what a caller writes is no label."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activities.metrics import API_REQUESTS

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class CountedRequests:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        """Take also what stands before the patterns of the routers that were included below it."""
        self._app = app
        self._prefix = prefix

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
            API_REQUESTS.labels(method, _route(scope, self._prefix), status).observe(time.perf_counter() - began)


def _route(scope: Scope, prefix: str) -> str:
    """Give the pattern of the route that answered: the router leaves it in the scope, or else its endpoint."""
    route, endpoint = scope.get("route"), scope.get("endpoint")
    path = getattr(route, "path", None)
    if path is None and endpoint is not None:
        routes = getattr(scope.get("router"), "routes", ())
        path = next((one.path for one in routes if getattr(one, "endpoint", None) == endpoint), None)
    if path is None:
        return "none"
    below = prefix and scope["path"].startswith(f"{prefix}/") and not str(path).startswith(prefix)
    return f"{prefix}{path}" if below else str(path)
