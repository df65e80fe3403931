"""How figures, times and names are written on a page; whatever comes from outside stays on one harmless line."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from orchestrator.reporting.figures import changed, line, path, size
from workflows.units import size_text

_ICONS = {
    "succeeded": "done", "done": "done", "ended": "done", "normal": "done", "closed": "done", "in force": "done",
    "running": "run", "working": "run", "draining": "run", "ramping": "run", "probing": "run", "begun": "run",
    "waiting": "wait", "ahead": "wait", "queued": "wait", "holding": "wait", "wished": "wait", "above": "warn",
    "paused": "pause", "held": "pause", "cancelling": "stop", "cancelled": "stop", "skipped": "skip",
    "failed": "bad", "blocked": "bad", "critical": "bad", "refused": "bad", "expired": "bad", "open": "bad",
    "quarantined": "warn", "warning": "warn", "error": "bad", "missed": "bad", "removed": "stop",
}  # fmt: skip
_TONES = {"done": "good", "run": "busy", "wait": "soft", "pause": "warn", "warn": "warn", "bad": "bad"}


def state(word: Any) -> Markup:
    """A state as an icon and its word; the colour only repeats them."""
    text = str(word)
    icon = _ICONS.get(text, "dot")
    return Markup('<span class="state {}">{}{}</span>').format(_TONES.get(icon, "soft"), icon_of(icon), text)


def icon_of(name: str) -> Markup:
    """Draw an icon that only repeats what the text beside it says."""
    return Markup('<svg class="icon" aria-hidden="true" viewBox="0 0 16 16"><use href="#i-{}"/></svg>').format(name)


def tone(word: Any) -> str:
    """Give the class of a state's colour."""
    return _TONES.get(_ICONS.get(str(word), "dot"), "soft")


def number(count: float | None) -> str:
    """A count with separators."""
    return "" if count is None else f"{count:,.0f}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def amount(count: float | None) -> str:
    """Bytes, or nothing where nobody knows."""
    return "?" if count is None else size(count)


def percent(share: float | None, digits: int = 1) -> str:
    """A number of percent."""
    return "?" if share is None else f"{share:.{digits}f} %"


def moment(when: datetime | str | None) -> Markup:
    """A time in UTC to the second."""
    at = _aware(when)
    if at is None:
        return Markup("")
    text = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), text)


def short(when: datetime | str | None) -> Markup:
    """A time in UTC as a list shows it: the clock today, the day otherwise; the whole of it on pointing at it."""
    at = _aware(when)
    if at is None:
        return Markup("")
    now = datetime.now(UTC)
    near = abs(at - now) < timedelta(days=300)
    text = f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%d %b %H:%M} UTC" if near else f"{at:%d %b %Y}"
    whole = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), whole, text)


def span(length: timedelta | float | None) -> str:
    """A length of time in its two greatest units."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    parts, rest = [], round(seconds)
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        value, rest = divmod(rest, unit)
        if value:
            parts.append(f"{value} {name}")
    return " ".join(parts[:2])


def ago(when: datetime | str | None) -> str:
    """How long ago, or how long until."""
    at = _aware(when)
    if at is None:
        return ""
    seconds = (datetime.now(UTC) - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    parts = span(abs(round(seconds))).split()
    coarse = " ".join(parts[:2])
    return f"{coarse} ago" if seconds > 0 else f"in {coarse}"


def digest(text: str | None) -> Markup:
    """The beginning of a digest; the whole of it on pointing at it."""
    return Markup('<code title="{}">{}</code>').format(text, text[:12]) if text else Markup("")


def run_name(name: str) -> Markup:
    """A run's name that breaks where it is longest."""
    return Markup("-<wbr>").join(escape(part) for part in line(name).split("-"))


def body(value: Mapping[str, Any]) -> str:
    """What a record says, on one line; what is empty is left out."""
    parts = (f"{name.replace('_', ' ')} {_short(one, name)}" for name, one in value.items() if one not in _NOTHING)
    return " · ".join(parts)


def without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A record's body less some of its fields."""
    return {name: one for name, one in value.items() if name not in names}


def rate(limits: Any) -> str:
    """A rate's limits."""
    if limits is None:
        return "no limit"
    words = []
    if limits.files_per_minute is not None:
        words.append(f"{limits.files_per_minute:,} files/min")
    if limits.bytes_per_minute is not None:
        words.append(f"{size_text(limits.bytes_per_minute)}/min")
    if limits.jobs_per_minute is not None:
        words.append(f"{limits.jobs_per_minute:,} jobs/min")
    return ", ".join(words) or "no limit"


_NOTHING: tuple[Any, ...] = (None, "", {}, [], 0)
_BYTES = ("used", "capacity", "need", "tranche", "in_flight", "room", "planned", "done_bytes", "confirmed", "before")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")


def _short(value: Any, name: str = "") -> str:
    if isinstance(value, Mapping):
        inside = (f"{key.replace('_', ' ')} {_short(one, key)}" for key, one in value.items() if one not in _NOTHING)
        return "(" + ", ".join(inside) + ")"
    if isinstance(value, list):
        return "(" + ", ".join(_short(one, name) for one in value) + ")"
    if isinstance(value, int) and not isinstance(value, bool):
        return size(value) if "bytes" in name or name in _BYTES else f"{value:,}"
    text = line(value)
    if found := _STAMP.fullmatch(text):
        return f"{found[1]} {found[2]} UTC"
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text


def _aware(when: datetime | str | None) -> datetime | None:
    if not when:
        return None
    at = datetime.fromisoformat(when) if isinstance(when, str) else when
    return at.astimezone(UTC)


def seconds(when: datetime | str) -> float:
    """A time in seconds since the epoch."""
    at = _aware(when)
    assert at is not None
    return at.timestamp()


def clock(at: float) -> str:
    """Seconds since the epoch as a time in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(at: float) -> str:
    """Seconds since the epoch as a day in UTC; a file may have any time at all."""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at):%Y-%m-%d}"
    except OverflowError:
        return "?"


def utc_clock(when: datetime) -> str:
    """Hours and minutes in UTC."""
    return f"{when.astimezone(UTC):%H:%M}"


def pretty(value: Any) -> str:
    """A value as JSON that people read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


FILTERS = {
    "clock": clock,
    "day": day,
    "pretty": pretty,
    "seconds": seconds,
    "utc_clock": utc_clock,
    "without": without,
    "ago": ago,
    "amount": amount,
    "body": body,
    "changed": changed,
    "counted": counted,
    "digest": digest,
    "icon": icon_of,
    "line": line,
    "moment": moment,
    "number": number,
    "path": path,
    "percent": percent,
    "rate": rate,
    "run_name": run_name,
    "short": short,
    "span": span,
    "state": state,
    "tone": tone,
}
