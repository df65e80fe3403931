"""Reads CloudEvents 1.0 from HTTP, strictly: structured, binary and batch mode, and plain signed webhooks."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from activities.ledger.records import BadRecord, canonical
from workflows.events import LARGEST_EVENT, LONGEST_NAME, OURS, WEBHOOK, CloudEvent

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LARGEST_BATCH = 1 << 20

_KNOWN = ("id", "source", "type", "subject", "time", "specversion", "data", "data_base64")
_NAME = re.compile(r"[a-z0-9]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DEEPEST = 32
_TOO_DEEP = f"The body is nested more than {_DEEPEST} levels deep."


class Malformed(Exception):
    """The message is no CloudEvent; the text says what is wrong."""


class TooLarge(Exception):
    """The event has more bytes than one may have."""


def content_type(headers: Mapping[str, str]) -> str:
    """Give the media type of a message without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def most_bytes(headers: Mapping[str, str]) -> int:
    """Tell how many bytes the body may have."""
    return LARGEST_BATCH if content_type(headers) == BATCH else LARGEST_EVENT


def read(headers: Mapping[str, str], body: bytes, message: str) -> list[CloudEvent]:
    """Read the events of a message, whose headers have lower-case names; raises Malformed or TooLarge."""
    kind = content_type(headers)
    if kind == BATCH:
        return _batch(_json(body))
    if kind == STRUCTURED:
        return [_event(_json(body))]
    given = {name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    data = _data(body, kind)
    if given:
        return [_event({**given, "data": data})]
    if kind != "application/json":
        raise Malformed(f"Send {STRUCTURED}, {BATCH}, ce- headers, or a signed application/json webhook.")
    return [_event({"specversion": "1.0", "id": message, "source": WEBHOOK, "type": WEBHOOK, "data": data})]


def _batch(found: Any) -> list[CloudEvent]:
    """Read all events, or none."""
    if not isinstance(found, list):
        raise Malformed("A batch is a JSON array of events.")
    events = []
    for number, one in enumerate(found, 1):
        which = f"None of the {len(found)} events was taken. Number {number}:"
        if len(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_EVENT:
            raise TooLarge(f"{which} An event has at most {LARGEST_EVENT} bytes.")
        try:
            events.append(_event(one))
        except Malformed as error:
            raise Malformed(f"{which} {error}") from None
    return events


def _event(found: Any) -> CloudEvent:
    if not isinstance(found, dict):
        raise Malformed("An event is a JSON object.")
    if found.get("specversion") != "1.0":
        raise Malformed('`specversion` must be "1.0".')
    for name in ("id", "source", "type"):
        _line(found, name, needed=True)
    for name in ("subject", "time"):
        _line(found, name, needed=False)
    if found["source"] == OURS or found["source"].startswith("hub/"):
        raise Malformed(f"The sources `{OURS}` and `hub/...` are this product's own: name another one.")
    if found.get("time") is not None:
        _check_time(found["time"])
    if "data" in found and "data_base64" in found:
        raise Malformed("`data` and `data_base64` exclude each other.")
    more = {name: value for name, value in found.items() if name not in _KNOWN}
    for name, value in more.items():
        if not _NAME.fullmatch(name) or isinstance(value, dict | list | float):
            raise Malformed(f"{name[:80]!r} is no attribute: a-z and 0-9, with text, a whole number or true or false.")
    event = CloudEvent(
        id=found["id"],
        source=found["source"],
        type=found["type"],
        subject=found.get("subject"),
        time=found.get("time"),
        attributes=more,
        data=_decoded(found["data_base64"]) if "data_base64" in found else found.get("data"),
    )
    try:
        canonical(event.model_dump(mode="json"))
    except BadRecord as error:
        raise Malformed(f"The event cannot be kept: {error}.") from None
    return event


def _line(found: dict[str, Any], name: str, *, needed: bool) -> None:
    value = found.get(name)
    if value is None and not needed:
        return
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or _CONTROL.search(value):
        raise Malformed(f"`{name}` must be text of 1 to {LONGEST_NAME} characters without control characters.")


def _check_time(text: str) -> None:
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise Malformed("`time` must be an RFC 3339 time such as 2026-11-23T22:00:00Z.")


def _data(body: bytes, kind: str) -> Any:
    if not body:
        return None
    if not kind or kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _decoded(text: Any) -> Any:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Malformed("`data_base64` is no base64.") from None
    return _data(content, "application/octet-stream")


def _json(body: bytes) -> Any:
    try:
        found = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except Malformed:
        raise
    except UnicodeDecodeError:
        raise Malformed("The body is not in UTF-8.") from None
    except RecursionError:
        raise Malformed(_TOO_DEEP) from None
    except ValueError as error:
        raise Malformed(f"The body is no JSON: {error}.") from None
    _check_values(found, 0)
    return found


def _check_values(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise Malformed(_TOO_DEEP)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Malformed("The body holds half a character (a lone surrogate).") from None
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise Malformed("The body holds a number that no computer keeps.")
    elif isinstance(value, dict):
        for name, one in value.items():
            _check_values(name, depth)
            _check_values(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _check_values(one, depth + 1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("An object has the same key twice.")
    return found


def _no_number(text: str) -> None:
    raise Malformed(f"{text} is no JSON.")
