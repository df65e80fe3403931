"""Sends one message to one target through Apprise; a failure is told in words that hold no part of the address."""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from activities.notices.notice import Urgency
from activities.notices.wording import Message

HIDDEN = "[hidden]"
_SHORTEST_SECRET = 3
_ENDS_OF_SECRETS = re.compile(r"[/?&=@:#,\s]+")


class NoService(ValueError):
    """The address is of no service that Apprise knows."""


def send(url: str, message: Message) -> str | None:
    """Send a message, within the time that the service's own time-outs allow; gives why it did not arrive, or None."""
    import apprise

    sender = _sender(url)
    html = message.html if any(_shows_html(server.notify_format) for server in sender) else None
    kind = _types()[message.urgency]
    said: list[str] = []
    for server in sender:
        server.notify = _overhearing(server.notify, said)
    try:
        arrived = sender.notify(
            title=message.title,
            body=message.text if html is None else html,
            body_format=apprise.NotifyFormat.TEXT if html is None else apprise.NotifyFormat.HTML,
            notify_type=kind,
        )
    except Exception as error:  # A service's plugin may raise anything; what it says may hold the address.
        return without(url, f"{type(error).__name__}: {error}")
    return None if arrived else without(url, "; ".join(said[-3:]) or "the service did not take it")


def is_service(url: str) -> bool:
    """Tell whether Apprise knows the service of an address."""
    try:
        _sender(url)
    except NoService:
        return False
    return True


def secret_parts(url: str) -> tuple[str, ...]:
    """Give every part of an address that could be a secret, the longest first, as it stands and decoded."""
    rest = url.split("://", 1)[-1]
    parts = {url, rest, *_ENDS_OF_SECRETS.split(rest)}
    parts |= {unquote(part) for part in parts}
    return tuple(sorted((part for part in parts if len(part) > _SHORTEST_SECRET), key=len, reverse=True))


def without(url: str, text: str) -> str:
    """Hide every part of an address in a text."""
    for part in secret_parts(url):
        text = text.replace(part, HIDDEN)
    return text


def _sender(url: str) -> Any:
    import apprise

    asset = apprise.AppriseAsset(
        app_id="Orchestrator",
        app_desc="Tiering orchestrator",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        secure_logging=True,
    )
    sender = apprise.Apprise(asset=asset)
    with _overheard([]):
        known = sender.add(url)
    if not known or len(sender) != 1:
        raise NoService("Apprise knows no service of this address")
    return sender


def _shows_html(formats: Any) -> bool:
    """Tell whether a service takes pages; it names one format, or several from the best on."""
    return "html" in (formats if isinstance(formats, list | tuple) else (formats,))


def _types() -> dict[Urgency, Any]:
    import apprise

    return {
        Urgency.INFO: apprise.NotifyType.INFO,
        Urgency.WARNING: apprise.NotifyType.WARNING,
        Urgency.URGENT: apprise.NotifyType.FAILURE,
    }


class _Overheard(logging.Handler):
    """Keeps what one thread's plugin logs, which may hold addresses and goes nowhere else."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if record.thread == self._thread:
            self._said.append(record.getMessage())


@contextmanager
def _overheard(said: list[str]) -> Iterator[None]:
    logger = logging.getLogger("apprise")
    logger.propagate = False
    handler = _Overheard(said)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _overhearing(notify: Callable[..., bool], said: list[str]) -> Callable[..., bool]:
    """Listen in the thread in which Apprise lets a plugin work, which is none of ours."""

    def heard(*given: Any, **named: Any) -> bool:
        with _overheard(said):
            return notify(*given, **named)

    return heard
