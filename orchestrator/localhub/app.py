"""The HTTP application: who asks, which operation, which faults, and the answer on the wire."""

import json
import logging
import sqlite3
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from activities.hub.contract import operations
from orchestrator.localhub import misbehaviour
from orchestrator.localhub.auth import Identity, Unauthorized
from orchestrator.localhub.call import Call, Problem, Reply
from orchestrator.localhub.connections import cut
from orchestrator.localhub.hub import LocalHub
from orchestrator.localhub.misbehaviour import Cut, Wire
from orchestrator.localhub.operations import LOCAL, OPERATIONS, PUBLIC, UNDOCUMENTED, Operation

log = logging.getLogger(__name__)
API = "/api"
_THREADS = 24


def build_app(hub: LocalHub) -> Starlette:
    """Build the application over a Hub that was started."""
    by_path: dict[str, dict[str, tuple[str, Operation]]] = {}
    for name, operation in _all_operations().items():
        method, path = name.split(" ")
        by_path.setdefault(path if name in LOCAL else API + path, {})[method] = (name, operation)
    routes = [
        Route(path, _Endpoint(hub, methods), methods=list(methods))
        for path, methods in sorted(by_path.items(), key=lambda entry: entry[0].count("{"))
    ]
    return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_allowed})


def _all_operations() -> dict[str, Operation]:
    unserved = {one.name: partial(_not_served, one.name) for one in operations() if one.name not in OPERATIONS}
    return {**OPERATIONS, **UNDOCUMENTED, **unserved, **LOCAL}


def _not_served(name: str, call: Call) -> Reply:
    raise Problem(501, f"the local Hub does not serve {name}", operation=name)


class _Endpoint:
    """Answers all methods of one path."""

    def __init__(self, hub: LocalHub, methods: dict[str, tuple[str, Operation]]) -> None:
        self._hub = hub
        self._methods = methods
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            wire = await self._answer(request)
        except Cut:
            cut(scope)
            return
        response = Response(wire.body, wire.status, wire.headers)
        if wire.send_only is None:
            await response(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": wire.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": wire.body[: wire.send_only], "more_body": True})
        cut(scope, flush=True)

    async def _answer(self, request: Request) -> Wire:
        name, operation = self._methods["GET" if request.method == "HEAD" else request.method]
        hub, body = self._hub, await request.body()
        hub.counters[name] += 1
        if name in LOCAL:
            return await self._work(request, body, name, operation)
        path = request.url.path.removeprefix(API)
        rules = hub.faults.answer(request.method, path, _workflow_of(name, body)) if hub.faults.rules else []
        instead = await misbehaviour.before(hub, rules)
        if instead is not None:
            return instead
        wire = await self._work(request, body, name, operation)
        return await misbehaviour.after(rules, wire) if rules else wire

    async def _work(self, request: Request, body: bytes, name: str, operation: Operation) -> Wire:
        # One limiter for the whole application, so that slow listings do not keep everyone else waiting for long.
        limiter = request.app.state.limiter = getattr(request.app.state, "limiter", None) or anyio.CapacityLimiter(
            _THREADS
        )
        return await anyio.to_thread.run_sync(partial(self._in_thread, request, body, name, operation), limiter=limiter)

    def _in_thread(self, request: Request, body: bytes, name: str, operation: Operation) -> Wire:
        try:
            identity = self._hub.auth.identify(request.headers.get("authorization")) if name not in PUBLIC else None
            return Wire.of(operation(self._call(request, body, identity, name)))
        except Unauthorized as error:
            if error.expired:
                return misbehaviour.expired(self._hub)
            return Wire.of(Reply({"detail": str(error)}, 401, {"www-authenticate": "Bearer"}))
        except Problem as problem:
            return Wire.of(Reply(problem.body, problem.status))
        except (OSError, sqlite3.Error):
            log.exception("%s could not be answered", name)
            return Wire.of(Reply({"detail": "an error of the local Hub; see its log"}, 500))

    def _call(self, request: Request, body: bytes, identity: Identity | None, name: str) -> Call:
        query = request.scope["query_string"].decode("latin-1")
        return Call(
            hub=self._hub,
            base=f"{request.url.scheme}://{request.url.netloc}{API}",
            path=request.url.path.removeprefix(API),
            params=parse_qsl(query, keep_blank_values=True, errors="surrogateescape"),
            path_params=dict(request.path_params),
            body=_parsed(body),
            identity=identity,
        )


def _parsed(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise Problem(400, f"JSON parse error - {error}") from error


def _workflow_of(name: str, body: bytes) -> str:
    if name != "POST /file/workflow/":
        return ""
    try:
        return str(json.loads(body.decode("utf-8", "surrogateescape")).get("workflow", ""))
    except (ValueError, AttributeError):
        return ""


async def _not_found(request: Request, error: Exception) -> Response:
    return _plain(404, f"there is no {request.url.path} on this Hub")


async def _not_allowed(request: Request, error: Exception) -> Response:
    return _plain(405, f'Method "{request.method}" not allowed.')


def _plain(status: int, detail: str) -> Response:
    return Response(json.dumps({"detail": detail}), status, {"content-type": "application/json"})
