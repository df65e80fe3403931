"""How values look on the wire: JSON both ways, query strings and URLs, names that are not UTF-8 included."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

Value = str | int | float | bool | datetime | None
Params = Mapping[str, Value | Iterable[Value]]


def base_url(url: str) -> str:
    """Normalise a Hub's address so that it ends in `/api`. Raises ValueError with what to write instead."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the Hub's URL must look like https://hub.example/api")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the Hub's URL must not hold a user name or password: set them as credentials")
    if parts.query or parts.fragment:
        raise ValueError("the Hub's URL must end in /api, without a query")
    path = parts.path.rstrip("/")
    if not path.endswith("/api"):
        path += "/api"
    return f"{parts.scheme}://{parts.netloc}{path}"


def name_bytes(text: str) -> bytes:
    """The bytes of a name: an escaped invalid byte becomes itself again, any other surrogate its three bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b"".join(
            char.encode("utf-8", "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass")
            for char in text
        )


def filled(template: str, **values: str | int) -> str:
    """Put values into the `{...}` of a path, so quoted that none can leave its segment."""
    return template.format(**{name: segment(value) for name, value in values.items()})


def segment(value: str | int) -> str:
    """One path segment, percent-encoded; a segment of dots alone is refused, for it would climb."""
    text = str(value)
    if not text.strip("."):
        raise ValueError(f"{text!r} cannot be part of a path")
    return quote(name_bytes(text), safe="")


def query_string(params: Params | None) -> str:
    """Percent-encode parameters; lists repeat their name, absent values are left out."""
    pairs: list[str] = []
    for name, value in (params or {}).items():
        values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
        pairs += [
            f"{quote(name, safe='')}={quote(name_bytes(_text(one)), safe='')}" for one in values if one is not None
        ]
    return "&".join(pairs)


def encode_json(value: Any) -> bytes:
    """JSON in ASCII, so that a lone surrogate travels as its escape."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode_json(content: bytes) -> Any:
    """Read JSON, quickly when it is clean, and with every invalid byte kept as a surrogate when it is not.

    Raises ValueError when it is not JSON at all.
    """
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(content.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def rfc3339(moment: datetime) -> str:
    """A moment in UTC with `Z`; one without a zone counts as UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return rfc3339(value) if isinstance(value, datetime) else str(value)
