"""Files and directories as the Hub describes them, read fast when the page is clean and by record when it is not."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from activities.hub.wire import decode_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 2e10

#: What Hubs call the three states of a file's data; any other word is unknown.
STATUS_WORDS: Mapping[str, str] = {
    "unmanaged": "resident",
    "resident": "resident",
    "local": "resident",
    "hydrated": "resident",
    "premigrated": "premigrated",
    "pre-migrated": "premigrated",
    "prestaged": "premigrated",
    "pre-staged": "premigrated",
    "migrated": "migrated",
    "stubbed": "migrated",
    "stub": "migrated",
    "offline": "migrated",
    "dehydrated": "migrated",
}

Problem = Callable[[str], None]


class FileRecord(msgspec.Struct, frozen=True, gc=False):
    """A thing of the namespace: exact path, times in microseconds since the epoch, sizes in bytes; None is unknown."""

    path: str
    type: str | None = None
    size: int | None = None
    disk_usage: int | None = None
    atime: int | None = None
    mtime: int | None = None
    ctime: int | None = None
    status: str | None = None
    owner: str | None = None
    group: str | None = None
    metadata: dict[str, str] | None = None


class _Child(msgspec.Struct, gc=False):
    path: str | None = None
    name: str | None = None
    type: str | None = None
    size: int | None = None
    data_size: int | None = None
    disk_usage: int | None = None
    atime: datetime | None = None
    mtime: datetime | None = None
    ctime: datetime | None = None
    status: str | None = None
    owner: str | int | None = None
    group: str | int | None = None
    uid: str | int | None = None
    gid: str | int | None = None
    metadata: dict[str, Any] | None = None
    deleted: bool | None = None
    error: str | None = None


class _Directory(msgspec.Struct):
    children: list[_Child] | None = None
    results: list[_Child] | None = None


_directories = msgspec.json.Decoder(_Directory)


def listed(content: bytes, directory: str, problem: Problem) -> list[FileRecord]:
    """What lies on one page of a directory's listing; a record that cannot be read is told to `problem`, once each.

    Raises ValueError when the page is not JSON.
    """
    try:
        page = _directories.decode(content)
    except (msgspec.DecodeError, UnicodeError):
        return _one_by_one(decode_json(content), directory, problem)
    children = page.children if page.children is not None else page.results
    if children is None:
        return []
    return [record for record in (_from_child(child, directory, problem) for child in children) if record is not None]


def from_object(found: Any, directory: str, problem: Problem) -> FileRecord | None:
    """One record from its JSON object, or its bare name; what is written wrongly in it counts as unknown."""
    if isinstance(found, str) and found:
        return FileRecord(within(directory, found))
    if not isinstance(found, dict):
        problem(f"{directory!a}: an entry is neither an object nor a name")
        return None
    path = _path(found.get("path"), found.get("name"), directory)
    if path is None:
        problem(f"{directory!a}: an entry has no path")
        return None
    if found.get("deleted") is True:
        return None
    return FileRecord(
        path,
        kind(found.get("type")),
        whole(_first(found, "size", "data_size")),
        whole(found.get("disk_usage")),
        micros(found.get("atime")),
        micros(found.get("mtime")),
        micros(found.get("ctime")),
        status(found.get("status")),
        text(_first(found, "owner", "user", "uid")),
        text(_first(found, "group", "gid")),
        flat(found.get("metadata")) or None,
    )


def within(directory: str, name: str) -> str:
    """The path of a name in a directory; a name that is a path already stays."""
    return name if name.startswith("/") else f"{directory.rstrip('/')}/{name}"


def kind(value: Any) -> str | None:
    """`file`, `directory`, or the Hub's own lower-case word for anything else."""
    if not isinstance(value, str) or not value:
        return None
    word = value.lower()
    return {"dir": "directory", "folder": "directory", "regular": "file"}.get(word, word)


def status(value: Any) -> str | None:
    """`resident`, `premigrated` or `migrated`; None for a word that is not known."""
    return STATUS_WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    """A size of zero or more bytes, also from a text or a float."""
    if isinstance(value, str):
        value = value.strip()
        if not re.fullmatch(r"\d{1,19}(\.\d*)?", value, re.ASCII):
            return None
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(value) if 0 <= value < 2**63 else None


def micros(value: Any) -> int | None:
    """Microseconds since the epoch from ISO 8601 (no zone: UTC), or from seconds or milliseconds, also as text."""
    if isinstance(value, str):
        # The reader of clean pages comes first: digits beyond microseconds must round alike, or a file seems changed.
        for read in (_as_on_clean_pages, datetime.fromisoformat):
            try:
                return _since_epoch(read(value.strip()))
            except ValueError:
                pass
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    seconds = value / 1000 if abs(value) > _MILLISECONDS_FROM else value
    return round(seconds * 1_000_000) if abs(seconds) < _MILLISECONDS_FROM * 10 else None


def text(value: Any) -> str | None:
    """A text, also from a number or from an object with a name."""
    if isinstance(value, dict):
        value = value.get("name")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested metadata as dotted keys and texts."""
    if not isinstance(value, dict):
        return {}
    found: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found |= flat(inner, f"{prefix}{key}.")
        elif isinstance(inner, bool):
            found[f"{prefix}{key}"] = "true" if inner else "false"
        elif isinstance(inner, str | int | float):
            found[f"{prefix}{key}"] = str(inner)
    return found


def _from_child(child: _Child, directory: str, problem: Problem) -> FileRecord | None:
    path = child.path
    if not path or path[0] != "/":
        path = _path(path, child.name, directory)
        if path is None:
            problem(f"{directory!a}: an entry has no path")
            return None
    if child.deleted:
        return None
    size = child.size if child.size is not None else child.data_size
    owner = child.owner if child.owner is not None else child.uid
    group = child.group if child.group is not None else child.gid
    return FileRecord(
        path,
        "file" if child.type == "file" else kind(child.type),
        size if size is None or size >= 0 else None,
        child.disk_usage if child.disk_usage is None or child.disk_usage >= 0 else None,
        None if child.atime is None else _since_epoch(child.atime),
        None if child.mtime is None else _since_epoch(child.mtime),
        None if child.ctime is None else _since_epoch(child.ctime),
        None if child.status is None else STATUS_WORDS.get(child.status) or status(child.status),
        None if owner is None else text(owner),
        None if group is None else text(group),
        flat(child.metadata) or None if child.metadata else None,
    )


def _one_by_one(found: Any, directory: str, problem: Problem) -> list[FileRecord]:
    if isinstance(found, dict):
        found = found.get("children") if isinstance(found.get("children"), list) else found.get("results")
    if not isinstance(found, list):
        return []
    records = (from_object(one, directory, problem) for one in found)
    return [record for record in records if record is not None]


def _path(path: Any, name: Any, directory: str) -> str | None:
    given = path if isinstance(path, str) and path else name
    return within(directory, given) if isinstance(given, str) and given else None


def _first(found: Mapping[str, Any], *names: str) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _as_on_clean_pages(value: str) -> datetime:
    return msgspec.convert(value, datetime)


def _since_epoch(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
