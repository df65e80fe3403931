"""A real HTTP server that answers as a test says, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from activities.hub.client import Hub
from activities.hub.credentials import credentials_from
from activities.hub.retry import Backoff

KEY = "key-Zq8vN2-secret"
USER = "ann"
PASSWORD = "pass-Xw7tL4-secret"
QUICK = Backoff(first=0.002, longest=0.01, longest_asked=0.05)


@dataclass
class Call:
    """One request as it came over the wire."""

    method: str
    target: str
    authorization: str | None
    body: bytes
    at: float

    @property
    def name(self) -> str:
        return f"{self.method} {self.target.partition('?')[0].removeprefix('/api')}"


Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class OddHub:
    """`script` decides each answer; `calls` are what came in."""

    script: Answer
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    in_flight: int = 0
    most_in_flight: int = 0

    def count(self, name: str) -> int:
        return sum(call.name == name for call in self.calls)

    def hub(self, **options: Any) -> Hub:
        options.setdefault("backoff", QUICK)
        options.setdefault("credentials", credentials_from(key=KEY))
        return Hub(self.url, **options)

    def user(self, **options: Any) -> Hub:
        return self.hub(credentials=credentials_from(username=USER, password=PASSWORD), **options)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        now = asyncio.get_running_loop().time()
        self.calls.append(Call(request.method, request.raw_path, request.headers.get("Authorization"), body, now))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.script(request, body)
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def odd_hub(script: Answer) -> AsyncIterator[OddHub]:
    """Serve a script on a free port of the loopback."""
    odd = OddHub(script)
    server = web.Server(odd.handle)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    odd.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield odd
    finally:
        await runner.cleanup()


def always(*args: Any, **kwargs: Any) -> Answer:
    """Give the same answer to every request."""

    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        return answer(*args, **kwargs)

    return script


def in_turn(*answers: Answer) -> Answer:
    """Give one answer after the other, the last one for ever."""
    rest = list(answers)

    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        return await (rest.pop(0) if len(rest) > 1 else rest[0])(request, body)

    return script


def by_name(scripts: dict[str, Answer]) -> Answer:
    """Answer by method and path; anything else does not exist."""

    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        name = f"{request.method} {request.raw_path.partition('?')[0].removeprefix('/api')}"
        chosen = scripts.get(name)
        return answer({"detail": "Not found."}, 404) if chosen is None else await chosen(request, body)

    return script


async def drop(request: web.Request, body: bytes) -> web.StreamResponse:
    """Close the connection without a word."""
    assert request.transport is not None
    request.transport.abort()  # type: ignore[attr-defined]
    return web.Response()


def paged(records: list[Any], size: int = 100) -> Answer:
    """List records in the Hub's envelope."""

    async def script(request: web.Request, body: bytes) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        part = records[(number - 1) * size : number * size]
        more = number * size < len(records)
        following = str(request.url.update_query(page=str(number + 1))) if more else None
        return answer({"count": len(records), "next": following, "previous": None, "results": part})

    return script


def answer(content: Any = None, status: int = 200, **headers: str) -> web.Response:
    """An answer: JSON of a value, bytes as they are."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(content, bytes):
        return web.Response(body=content, status=status, headers={"Content-Type": "application/json"} | named)
    return web.json_response(content, status=status, headers=named)


async def collected(stream: AsyncIterator[Any] | Iterable[Any]) -> list[Any]:
    """Everything of an async iterator."""
    assert isinstance(stream, AsyncIterator)
    return [one async for one in stream]
