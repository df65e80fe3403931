"""An audit record: what is told, its canonical form, and the hash that chains it to the one before."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import rfc8785
from pydantic import ConfigDict, Field

from workflows.payload import Payload

MAX_BODY = 256 * 1024
"""Bytes of canonical JSON that a body may have: a record tells of things, it does not carry them."""

MAX_NAME = 512
"""Characters that an actor, a run, an event or a key may have: all of them stand in an index."""

GENESIS = "0" * 64
"""The hash before the first record."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXACT_INTEGER = 2**53 - 1
_SHOWN_AS_INTEGER = (
    1e21  # the canonical form writes smaller whole floats without an exponent: they read back as integers
)


class AuditError(Exception):
    """The audit could not do what was asked.

    AuditError
    +-- AuditUnavailable   the database does not answer now: try again
    +-- WrongDatabase      the database is not one that this version can write: fix it
    +-- BadRecord          the record can never be written: give up
    """


class AuditUnavailable(AuditError):
    """The audit's database does not answer now; the same call may work later."""


class WrongDatabase(AuditError):
    """The audit's address is wrong, or what is there is no audit of this version."""


class BadRecord(AuditError):
    """The record can never be written as it is: too large, or not JSON."""


PERMANENT = ("WrongDatabase", "BadRecord")
"""Names of the errors that a retry cannot cure."""


class AuditRecord(Payload):
    """One thing that happened, to be written once under its key."""

    # NaN would turn into null on its way through Temporal; so it arrives, and is refused.
    model_config = ConfigDict(ser_json_inf_nan="constants")

    event: str
    actor: str
    run: str | None = None
    key: str
    body: dict[str, Any] = Field(default_factory=dict)


class Stored(Payload):
    """A record as it stands in the chain; `same` is False when the key was already taken by another record."""

    seq: int
    at: str
    actor: str
    run: str | None
    event: str
    key: str
    body: dict[str, Any]
    prev_hash: str
    hash: str
    same: bool = True


def record_key(run: str | None, event: str, *parts: object) -> str:
    """Give the idempotency key of an event that happens once for these parts of a run."""
    return "/".join([run or "-", str(event), *(str(part) for part in parts)])


def canonical(body: Mapping[str, Any]) -> str:
    """Write a body in the canonical form of RFC 8785; integers beyond 2^53 - 1 become decimal strings (RFC 7493)."""
    try:
        encoded = rfc8785.dumps(_with_exact_integers(body))
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise BadRecord(f"the body is no JSON that can be kept: {_reason(error)}") from error
    if len(encoded) > MAX_BODY:
        raise BadRecord(f"the body has {len(encoded)} bytes, more than the {MAX_BODY} that a record may have")
    return encoded.decode()


def check_names(record: AuditRecord) -> None:
    """Raise BadRecord when a name of the record is empty, too long, or holds what no database keeps."""
    for field, value in (("event", record.event), ("actor", record.actor), ("key", record.key), ("run", record.run)):
        if value is None:
            continue
        if not 0 < len(value) <= MAX_NAME:
            raise BadRecord(f"the {field} has {len(value)} characters; 1 to {MAX_NAME} are possible")
        if _CONTROL.search(value) or not _is_unicode(value):
            raise BadRecord(f"the {field} holds control characters or halves of characters: {value!a}")


def chained_hash(
    *, seq: int, at: str, actor: str, run: str | None, event: str, key: str, body: str, prev_hash: str
) -> str:
    """Hash the canonical JSON of a record; `body` is its canonical text.

    The text is put together here because RFC 8785 of the whole would canonicalise the body once more; it is the same,
    byte for byte, as `rfc8785.dumps` of the record without its hash.
    """
    text = (
        f'{{"actor":{quoted(actor)},"at":{quoted(at)},"body":{body},"event":{quoted(event)},"key":{quoted(key)},'
        f'"prev_hash":{quoted(prev_hash)},"run":{"null" if run is None else quoted(run)},"seq":{seq}}}'
    )
    return hashlib.sha256(text.encode()).hexdigest()


def exported_line(
    *, seq: int, at: str, actor: str, run: str | None, event: str, key: str, body: str, prev_hash: str, hash: str
) -> str:
    """Write a record with its hash as canonical JSON: without the member `hash` it is the text that was hashed."""
    return (
        f'{{"actor":{quoted(actor)},"at":{quoted(at)},"body":{body},"event":{quoted(event)},"hash":{quoted(hash)},'
        f'"key":{quoted(key)},"prev_hash":{quoted(prev_hash)},"run":{"null" if run is None else quoted(run)},'
        f'"seq":{seq}}}'
    )


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, always with microseconds, so that texts sort as moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


quoted = json.JSONEncoder(ensure_ascii=False).encode
"""Write a text as canonical JSON does (RFC 8785)."""


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _with_exact_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_exact_integers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_exact_integers(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _SHOWN_AS_INTEGER):
        return value
    return str(int(value)) if abs(value) > _EXACT_INTEGER else value
