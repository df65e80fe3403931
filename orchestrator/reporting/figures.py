"""Figures of a report as people read them, and any text from outside on one harmless line."""

from datetime import datetime
from typing import Any

from workflows.names import printable, shown

__all__ = ["changed", "clock", "line", "path", "size", "span"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(count: float) -> str:
    """Bytes."""
    value, unit = float(count), 0
    while abs(value) >= 1023.95 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{int(value)} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def span(seconds: float) -> str:
    """A length of time in its two greatest units."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    rest, parts = round(seconds), []
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        value, rest = divmod(rest, unit)
        if value:
            parts.append(f"{value} {name}")
    return " ".join(parts[:2])


def clock(stamp: str | None) -> str:
    """A time, in UTC to the second."""
    return "" if stamp is None else f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M:%S} UTC"


def line(text: object) -> str:
    """A message, reason or name on one line."""
    return printable(str(text))


def path(text: str) -> str:
    """A path on one line."""
    return shown(text)


def changed(details: dict[str, Any]) -> str:
    """What a change set, field by field."""
    return ", ".join(f"{key} {_value(value)}" for key, value in details.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_value(one)}" for key, one in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return line(value)
