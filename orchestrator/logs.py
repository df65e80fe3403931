"""Logs of every process: structured, on standard error, with run and job as context and without credentials."""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from orchestrator.notify_file import target_secrets
from orchestrator.settings import Settings

HIDDEN = "[hidden]"
_SECRET_NAMES = re.compile(r"(?i)(authorization|api[-_]?key|password|passwd|secret|token|cookie)")
_SECRET_TEXT = re.compile(
    r"(?i)\b(api-key|bearer|basic)\s+[^\s,;'\"]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|\b(tiering|session)_[0-9a-f]{12}_[a-z0-9_-]{43}"
)
_QUIET = ("httpx", "httpcore", "aiohttp", "asyncio", "sqlalchemy", "uvicorn.access", "urllib3", "requests_oauthlib")

Event = MutableMapping[str, Any]


def configure_logs(settings: Settings, *, terminal: bool | None = None) -> None:
    """Send the logs of this process, those of libraries too, to standard error in the format of the settings."""
    on_terminal = sys.stderr.isatty() if terminal is None else terminal
    console = settings.log_format == "console" or (settings.log_format == "auto" and on_terminal)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_colours,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=on_terminal)]
        if console
        else [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]
    )
    # The traceback becomes text before the scrubber sees it: a richer one would print local variables.
    render: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        Scrubber(secrets_of(settings)),
        *rendering,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if settings.log_level == "debug" else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _without_colours(logger: Any, method: str, event: Event) -> Event:
    """Drop uvicorn's second copy of its message, made for terminals."""
    event.pop("color_message", None)
    return event


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Collect the secret values that must never be printed."""
    audit = urlsplit(settings.audit.get_secret_value()).password
    values = (settings.hub_key, settings.hub_password)
    known = tuple(value.get_secret_value() for value in values if value is not None)
    return (*known, *((audit,) if audit else ()), *target_secrets(settings))


class Scrubber:
    """A log processor that hides credentials: known values anywhere, and whatever is named or looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True)

    def __call__(self, logger: Any, method: str, event: Event) -> Event:
        """Return the event with every credential replaced."""
        return {str(name): self._clean(value, str(name)) for name, value in event.items()}

    def text(self, text: str) -> str:
        """Return the text with every credential replaced."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _SECRET_TEXT.sub(HIDDEN, text)

    def _clean(self, value: Any, name: str = "") -> Any:
        if name and value is not None and _SECRET_NAMES.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._clean(item, str(key)) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.text(str(value)) if not isinstance(value, BaseException) else value
