"""What an HTTP answer means: a good one, or which error of the tree."""

from datetime import UTC, datetime
from typing import Any

import httpx

from activities.errors import (
    AuthError,
    BadAnswer,
    Busy,
    Forbidden,
    HubError,
    NotFound,
    Refused,
    ServerFault,
)
from activities.hub.retry import retry_after
from activities.hub.wire import decode_json

_DETAIL = 300


def error_of(response: httpx.Response, operation: str) -> HubError | None:
    """The error that an answer stands for; None for a good one."""
    status = response.status_code
    if 200 <= status < 300:
        return _not_json(response, operation)
    said = f"{operation}: the Hub answered {status}{_detail(response)}"
    if status in (429, 503):
        asked = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        return Busy(f"{said}: try again later", operation=operation, status=status, retry_after=asked)
    if status >= 500 and status not in (501, 505):
        return ServerFault(f"{said}: try again; look at the Hub's log if it lasts", operation=operation, status=status)
    if status == 401:
        return AuthError(f"{said}: check the Hub's credentials", operation=operation, status=status)
    if status == 403:
        return Forbidden(f"{said}: give the account this permission on the Hub", operation=operation, status=status)
    if status == 404 and _is_page(response):
        page = f"{operation}: a web page with 404: this Hub lacks the call, or a proxy speaks for it"
        return BadAnswer(page, operation=operation, status=status)
    if status == 404:
        return NotFound(f"{said}: it does not exist, or not any more", operation=operation, status=status)
    if 300 <= status < 400:
        return Refused(
            f"{operation}: the Hub redirects ({status}): set the Hub's URL to where it really is",
            operation=operation,
            status=status,
        )
    fix = "this Hub cannot do that" if status >= 500 else "change the request"
    return Refused(f"{said}: {fix}", operation=operation, status=status)


def document(response: httpx.Response, operation: str) -> Any:
    """The JSON of an answer, None for an empty one; BadAnswer when it is not JSON."""
    if not response.content.strip():
        return None
    try:
        return decode_json(response.content)
    except ValueError:
        failure = BadAnswer(
            f"{operation}: the answer is not JSON, or was cut off: look for a proxy before the Hub",
            operation=operation,
            status=response.status_code,
        )
    raise failure


def _is_page(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("text/html", "application/xhtml+xml") or response.content.lstrip()[:1] == b"<"


def _not_json(response: httpx.Response, operation: str) -> HubError | None:
    if not _is_page(response):
        return None
    return BadAnswer(
        f"{operation}: the answer is a web page, not JSON: check the Hub's URL, or the proxy before it",
        operation=operation,
        status=response.status_code,
    )


def _detail(response: httpx.Response) -> str:
    try:
        body = decode_json(response.content)
    except ValueError:
        return ""
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        body = body["detail"]
    text = body if isinstance(body, str) else ascii(body)
    shown = text.encode("ascii", "backslashreplace").decode("ascii")
    return f" ({shown[:_DETAIL]})" if body not in (None, "", {}, []) else ""
