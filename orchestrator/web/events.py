"""`POST /events`: takes signed CloudEvents, and answers 202 once Temporal has them."""

import asyncio
import time
from datetime import timedelta

import structlog
from prometheus_client import Counter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from temporalio.service import RPCError

from activities.router_line import RouterBusy, RouterLine
from orchestrator.settings import Settings
from orchestrator.stack import running_settings
from orchestrator.temporal import TemporalUnreachable, connect
from orchestrator.web.cloud_events import Malformed, TooLarge, most_bytes, read
from orchestrator.web.signature import Unsigned, attributes_digest, keys_of, verify
from workflows.events import CloudEvent

ACCEPTED = Counter("orchestrator_events_accepted", "Events that were taken and are durable in Temporal")
REFUSED = Counter("orchestrator_events_refused", "Messages that were refused", ["reason"])

ANSWERS_WITHIN = timedelta(seconds=5)
BODY_WITHIN = timedelta(seconds=30)
_TRY_AGAIN = "5"
_log = structlog.get_logger(__name__)


class EventsDoor:
    """The endpoint; it keeps one connection to Temporal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        secrets = settings.event_secrets
        self._keys = keys_of(secrets.get_secret_value()) if secrets is not None else []
        self._line: RouterLine | None = None
        self._connecting = asyncio.Lock()

    async def post(self, request: Request) -> Response:
        """Take a message, or say what is wrong with it."""
        if not self._keys:
            return _problem(503, "no_secret", "Events are not taken here before ORCHESTRATOR_EVENT_SECRETS is set.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            async with asyncio.timeout(BODY_WITHIN.total_seconds()):
                body = await _body(request, most_bytes(headers))
            message = verify(self._keys, headers, body, time.time())
            if any(name.startswith("ce-") for name in headers) and message != attributes_digest(headers.items()):
                text = "In binary mode webhook-id is the SHA-256 of the sorted ce- headers, each as `name:value\\n`."
                raise Unsigned("wrong_signature", text)
            events = read(headers, body, message)
        except ClientDisconnect:
            return _problem(400, "cut_off", "The message ended before its body did: send it again.")
        except TimeoutError:
            return _problem(
                408, "slow", f"The body did not come within {BODY_WITHIN.seconds} s: send it again.", cut=True
            )
        except TooLarge as error:
            return _problem(413, "oversized", str(error), cut=True)
        except Unsigned as error:
            return _problem(400 if error.reason == "malformed" else 401, error.reason, str(error))
        except Malformed as error:
            return _problem(400, "malformed", str(error))
        return await self._told(events)

    async def _told(self, events: list[CloudEvent]) -> Response:
        """Tell the router; what was told before an answer of 503 is known by its id when it comes again."""
        try:
            if events:
                async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                    await (await self._router()).tell(events)
        except RouterBusy:
            text = "More events wait than may: send the same message again after `Retry-After` seconds."
            return _problem(503, "busy", text, retry=True)
        except (RPCError, TemporalUnreachable, TimeoutError) as error:
            _log.warning("events were not taken, Temporal does not answer", error=str(error))
            self._line = None
            text = "Temporal does not answer now: send the same message again after `Retry-After` seconds."
            return _problem(503, "unavailable", text, retry=True)
        ACCEPTED.inc(len(events))
        return JSONResponse({"accepted": len(events)}, 202)

    async def _router(self) -> RouterLine:
        async with self._connecting:
            if self._line is None:
                now = await asyncio.to_thread(running_settings, self._settings)
                self._line = RouterLine(await connect(now, within=5), self._settings.task_queue)
            return self._line


async def _body(request: Request, most: int) -> bytes:
    """Read the body, and no more of it than it may have."""
    text = f"The body has more than {most} bytes: send less at once."
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLarge(text)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(text)
    return bytes(body)


def _problem(status: int, reason: str, text: str, *, retry: bool = False, cut: bool = False) -> Response:
    """Say what is wrong; `cut` ends the connection, so that the rest of a body is not waited for."""
    REFUSED.labels(reason).inc()
    body = {"type": "about:blank", "title": reason.replace("_", " ").capitalize(), "status": status, "detail": text}
    headers = {**({"Retry-After": _TRY_AGAIN} if retry else {}), **({"Connection": "close"} if cut else {})}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
