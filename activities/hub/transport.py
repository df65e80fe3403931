"""aiohttp behind the httpx API: the same requests and exceptions, a tenth of the CPU under concurrency.

Differs from a general adapter where a Hub client needs it: the URL goes over the wire exactly as given, a POST is
never sent twice, cookies and proxies of the environment play no part, only a failure to connect counts as "nothing
was sent", and the `Authorization` header is added here, so that no request object, and so no exception, ever holds it.
"""

import ssl
import time
from types import TracebackType
from typing import Self

import aiohttp
import httpx
from prometheus_client import Histogram
from pydantic import SecretStr
from yarl import URL

HUB_REQUESTS = Histogram(
    "orchestrator_hub_request_seconds",
    "Time of one request to the Hub, by the kind of its answer",
    ["method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_UNHELD = ("host", "content-length", "transfer-encoding", "connection")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests over one aiohttp session; `request.extensions["authorization"]` may hold a SecretStr."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | bool = True,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        total_timeout: float = 600.0,
        keepalive: float = 4.0,
    ) -> None:
        self._tls = tls
        self._keepalive = keepalive
        self._timeout = aiohttp.ClientTimeout(
            total=total_timeout, connect=None, sock_connect=connect_timeout, sock_read=read_timeout
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send once, read the whole body; a failure is an httpx exception whose text and causes hold no header."""
        began = time.perf_counter()
        status = "none"
        try:
            response = await self._exchange(request)
            status = f"{response.status_code // 100}xx"
            return response
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = _as_httpx(error)
        finally:
            HUB_REQUESTS.labels(request.method, status).observe(time.perf_counter() - began)
        # Raised out here so that aiohttp's exception, which may hold the request's headers, is not kept as context.
        raise failure

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name not in _UNHELD}
        secret = request.extensions.get("authorization")
        if isinstance(secret, SecretStr):
            headers["authorization"] = secret.get_secret_value()
        async with self._opened().request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=headers,
            data=request.content or None,
            allow_redirects=False,
        ) as answer:
            return httpx.Response(answer.status, headers=answer.raw_headers, content=await answer.read())

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls, keepalive_timeout=self._keepalive),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _as_httpx(error: Exception) -> httpx.TransportError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout("no connection within the time-out")
    if isinstance(error, aiohttp.ClientSSLError):
        return httpx.ConnectError(f"no trusted TLS connection ({type(error).__name__})")
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(f"no connection: {error.strerror or type(error.os_error).__name__}")
    if isinstance(error, aiohttp.InvalidURL):
        return httpx.UnsupportedProtocol("the URL cannot be used")
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no answer within the time-out")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return httpx.RemoteProtocolError("the connection was closed before the answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return httpx.RemoteProtocolError("the answer is not HTTP")
    if isinstance(error, aiohttp.ClientPayloadError):
        return httpx.ReadError("the connection was closed within the answer")
    return httpx.ReadError(f"the connection failed ({type(error).__name__})")
