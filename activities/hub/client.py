"""One door to a Hub: authenticated, bounded, patient with a Hub in trouble, and silent about credentials."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel

from activities.errors import (
    BadAnswer,
    Busy,
    ContractError,
    HubError,
    OutcomeUnknown,
    Refused,
    Retryable,
    Unreachable,
)
from activities.hub.answers import document, error_of
from activities.hub.credentials import Credentials
from activities.hub.paging import Page, read_page
from activities.hub.reading import read
from activities.hub.retry import Backoff
from activities.hub.session import Proof, session_for
from activities.hub.transport import AiohttpTransport
from activities.hub.wire import Params, base_url, encode_json, query_string

_log = logging.getLogger(__name__)
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Hub:
    """A client of one Hub, to be shared by everything in a process; an async context manager.

    `max_connections` bounds the requests in flight; more of them wait their turn without a time-out.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 600.0,
        max_connections: int = 100,
        backoff: Backoff | None = None,
        tls: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = base_url(url)
        self.habits: dict[str, bool] = {}
        self._host = urlsplit(self.url).hostname or ""
        self._backoff = backoff or Backoff()
        self._lanes = asyncio.Semaphore(max_connections)
        self._transport = transport or AiohttpTransport(
            tls=tls, connect_timeout=connect_timeout, read_timeout=read_timeout, total_timeout=total_timeout
        )
        self._session = session_for(credentials, self._exchange)

    def __repr__(self) -> str:
        return f"Hub({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def request(
        self, method: str, path: str, *, params: Params | None = None, json: Any = None, repeat: bool | None = None
    ) -> httpx.Response:
        """Make one call and give back its good answer; any other raises from the tree of `activities.errors`.

        `repeat` says whether the call may be sent again after an answer that leaves its effect open; by default only
        one that reads may. A call that may not, raises OutcomeUnknown then.
        """
        return await self._run(method, _target(path, params), json, repeat, lambda response, _: response)

    async def get(self, path: str, params: Params | None = None) -> Any:
        """The JSON that a GET answers with."""
        return await self._run("GET", _target(path, params), None, True, document)

    async def post(self, path: str, json: Any = None, *, repeat: bool = False) -> Any:
        """The JSON that a POST answers with, None for an empty body."""
        return await self._run("POST", path, json, repeat, document)

    async def pages(self, path: str, params: Params | None = None, *, page_size: int = 100) -> AsyncIterator[Page]:
        """Every page of a list, following `next`; `path` may be the `next` of an earlier page.

        Raises ContractError when the pages lead in a circle or to another host.
        """
        target: str | None = _target(path, params)
        if "page_size=" not in str(target):
            target = _target(str(target), {"page_size": page_size})
        seen: set[int] = set()
        while target is not None:
            if hash(target) in seen:
                operation = f"GET {path.partition('?')[0]}"
                raise ContractError(f"{operation}: field 'next' leads in a circle", operation=operation)
            seen.add(hash(target))
            page = await self._run("GET", target, None, True, self._page_at(target))
            yield page
            target = page.next

    async def items(self, path: str, params: Params | None, model: type[M]) -> AsyncIterator[M]:
        """Every listed thing of every page as a model; a bare list counts as one page."""
        operation = f"GET {path.partition('?')[0]}"
        async for page in self.pages(path, params):
            for record in page.records():
                yield read(model, record, operation)

    def _page_at(self, target: str) -> Callable[[httpx.Response, str], Page]:
        def page(response: httpx.Response, operation: str) -> Page:
            try:
                return read_page(target, response.content, self._host)
            except ValueError:
                failure = BadAnswer(f"{operation}: the page is not JSON, or was cut off", operation=operation)
            raise failure

        return page

    async def _run(
        self,
        method: str,
        target: str,
        json: Any,
        repeat: bool | None,
        reader: Callable[[httpx.Response, str], T],
        *,
        anonymous: bool = False,
    ) -> T:
        """Try a call until it is answered, cannot be, or must not be sent again."""
        method = method.upper()
        operation = f"{method} {target.partition('?')[0]}"
        may_repeat = method in _READS if repeat is None else repeat
        content = b"" if json is None else encode_json(json)
        tries = 0
        while True:
            tries += 1
            failure: HubError
            try:
                response = await (self._send if anonymous else self._authorized)(method, target, content, operation)
                return reader(response, operation)
            except (Retryable, ContractError) as error:
                failure = error
            if failure.operation != operation:
                raise failure  # About a call for a token, which had its own tries: this one was not accepted.
            if not may_repeat and not _certain(failure):
                raise OutcomeUnknown(
                    f"{failure}; it may have been done: look before sending it again",
                    operation=operation,
                    status=failure.status,
                )
            unsent = isinstance(failure, Unreachable) and not failure.sent
            if not isinstance(failure, Retryable) or tries >= self._backoff.attempts or not (may_repeat or unsent):
                raise failure
            pause = self._backoff.wait(tries, failure.retry_after)
            _log.warning("%s; trying again in %.1f s", failure, pause)
            await asyncio.sleep(pause)

    async def _authorized(self, method: str, target: str, content: bytes, operation: str) -> httpx.Response:
        """Send with the current proof; renew it when refused: by refresh, then (after a 401 again) by login."""
        proof = await self._session.current()
        renewals = 0
        while True:
            try:
                return await self._send(method, target, content, operation, proof)
            except HubError as error:
                refused = error
            newer = None
            if refused.status == 401 or (refused.status == 403 and renewals == 0):
                newer = await self._session.renewed(proof, login=renewals > 0) if renewals < 2 else None
            if newer is None:
                raise refused
            proof = newer
            renewals += 1

    async def _send(
        self, method: str, target: str, content: bytes, operation: str, proof: Proof | None = None
    ) -> httpx.Response:
        """Send once; the error raised holds no trace of the request."""
        headers = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "tiering-orchestrator"}
        if content:
            headers["content-type"] = "application/json"
        request = httpx.Request(
            method,
            self.url + target,
            headers=headers,
            content=content,
            extensions={} if proof is None else {"authorization": proof.secret},
        )
        failure: HubError | None
        try:
            async with self._lanes:
                response = await self._transport.handle_async_request(request)
            response.request = request
            failure = error_of(response, operation)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            said = f"{operation}: {error}: is the Hub running, and its URL right?"
            failure = Unreachable(said, operation=operation, sent=False)
        except httpx.UnsupportedProtocol as error:
            failure = Refused(f"{operation}: {error}", operation=operation)
        except httpx.DecodingError:
            failure = BadAnswer(f"{operation}: the answer's compression is broken", operation=operation)
        except httpx.HTTPError as error:
            failure = Unreachable(f"{operation}: {error}: is the Hub well?", operation=operation)
        if failure is None:
            return response
        failure.args = (self._session.hidden(str(failure)),)
        raise failure

    async def _exchange(self, path: str, body: dict[str, str]) -> Any:
        return await self._run("POST", path, body, True, document, anonymous=True)


def _certain(failure: HubError) -> bool:
    """Whether an error proves that the call had no effect."""
    if isinstance(failure, Unreachable):
        return not failure.sent
    return isinstance(failure, Busy) and failure.status == 429


def _target(path: str, params: Params | None) -> str:
    query = query_string(params)
    return path if not query else f"{path}{'&' if '?' in path else '?'}{query}"
