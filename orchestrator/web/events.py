"""`POST /events`: takes signed CloudEvents, and answers 202 once Temporal has them."""

import asyncio
import time
from datetime import timedelta

import structlog
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from temporalio.client import Client
from temporalio.service import RPCError

from activities.events import tell_router
from orchestrator.settings import Settings
from orchestrator.stack import running_settings
from orchestrator.temporal import TemporalUnreachable, connect
from orchestrator.web.cloud_events import Malformed, TooLarge, most_bytes, read
from orchestrator.web.signature import Unsigned, attributes_digest, keys_of, verify

ACCEPTED = Counter("orchestrator_events_accepted", "Events that were taken and are durable in Temporal")
REFUSED = Counter("orchestrator_events_refused", "Messages that were refused", ["reason"])

ANSWERS_WITHIN = timedelta(seconds=10)
_TRY_AGAIN = "5"
_log = structlog.get_logger(__name__)


class EventsDoor:
    """The endpoint; it keeps one connection to Temporal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        secrets = settings.event_secrets
        self._keys = keys_of(secrets.get_secret_value()) if secrets is not None else []
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def post(self, request: Request) -> Response:
        """Take a message, or say what is wrong with it."""
        if not self._keys:
            return _problem(503, "no_secret", "Events are not taken here: set ORCHESTRATOR_EVENT_SECRETS.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = await _body(request, most_bytes(headers))
            message = verify(self._keys, headers, body, time.time())
            if any(name.startswith("ce-") for name in headers) and message != attributes_digest(headers.items()):
                text = "In binary mode webhook-id is the SHA-256 of the sorted ce- headers, each as `name:value\\n`."
                raise Unsigned("wrong_signature", text)
            events = read(headers, body, message)
        except TooLarge as error:
            return _problem(413, "oversized", str(error))
        except Unsigned as error:
            return _problem(400 if error.reason == "malformed" else 401, error.reason, str(error))
        except Malformed as error:
            return _problem(400, "malformed", str(error))
        try:
            if events:
                client = await self._temporal()
                async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                    await tell_router(client, self._settings.task_queue, events)
        except (RPCError, TemporalUnreachable, TimeoutError) as error:
            _log.warning("events were not taken, Temporal does not answer", error=str(error))
            self._client = None
            return _problem(503, "unavailable", "Temporal does not answer now: send it again.", retry=True)
        ACCEPTED.inc(len(events))
        return JSONResponse({"accepted": len(events)}, 202)

    async def _temporal(self) -> Client:
        async with self._connecting:
            if self._client is None:
                now = await asyncio.to_thread(running_settings, self._settings)
                self._client = await connect(now, within=5)
            return self._client


async def _body(request: Request, most: int) -> bytes:
    """Read the body, and no more of it than it may have."""
    text = f"The body has more than {most} bytes."
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLarge(text)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(text)
    return bytes(body)


def _problem(status: int, reason: str, text: str, *, retry: bool = False) -> Response:
    REFUSED.labels(reason).inc()
    body = {"type": "about:blank", "title": reason.replace("_", " ").capitalize(), "status": status, "detail": text}
    headers = {"Retry-After": _TRY_AGAIN} if retry else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")
