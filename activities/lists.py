"""Lists of files from elsewhere: plain or NUL-separated paths, GPFS file lists, CSV, JSON lines, Parquet.

A list is read entry by entry. One that cannot be read is never passed over: the others are given, and at the end the
list is refused with the places of the bad ones.
"""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from temporalio.exceptions import ApplicationError

from activities.hub.namespace import FileRecord, from_object
from activities.list_formats import UNCLEAR_PERCENT, UNSAID_GPFS, Unclear, format_of
from activities.list_lines import BadEntry, checked, entries, gpfs_path, has_percent, lines, path_of
from workflows.names import shown, to_path

EXAMPLES = 10
MOST = 10_000
_PAGE = 1_000
_AS_HUB = {"accessed": "atime", "modified": "mtime", "changed": "ctime"}
_TIMES = tuple(_AS_HUB.values())
_TOO_LONG = "is longer than any path: is it the right file, and the right `format`?"


class BadList(ApplicationError):
    """The file that lists the paths cannot be read as what its name says: see the message and correct the file."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="BadList", non_retryable=True)


async def listed_in(name: str, format: str | None = None) -> AsyncIterator[list[FileRecord]]:
    """Read a list of files, as `format` says, or else its ending, or else its beginning. Raises BadList.

    Columns are named as a policy names attributes, or as the Hub does; what is missing is unknown.
    """
    pages = _pages(Path(name), format)
    while page := await asyncio.to_thread(next, pages, None):
        yield page


Entry = tuple[str, Any]
"""A place, such as `line 3`, and the record, the object that it is made of, or the BadEntry."""


def _pages(file: Path, given: str | None) -> Iterator[list[FileRecord]]:
    page: list[FileRecord] = []
    wrong, examples, place = 0, list[str](), "line 1"
    try:
        for place, entry in _entries(file, format_of(file, given)):
            found = entry if isinstance(entry, FileRecord | BadEntry) else _record(entry)
            if isinstance(found, FileRecord):
                page.append(found)
                if len(page) >= _PAGE:
                    yield page
                    page = []
                continue
            wrong += 1
            if len(examples) < EXAMPLES:
                examples.append(f"{place} {found}")
            if wrong >= MOST:
                break
    except OSError as error:  # A run tells its innermost cause, and that must be ours: it names the file.
        raise _bad(file, f"cannot be read: {error.strerror or error}") from None
    except Unclear as error:
        raise _bad(file, str(error)) from None
    except (csv.Error, UnicodeError, pa.ArrowException) as error:
        raise _bad(file, f"after {place}: is not what its name or `format` says: {error}") from None
    if wrong:
        raise _bad(file, _told(wrong, examples))
    if page:
        yield page


def _entries(file: Path, kind: str) -> Iterator[Entry]:
    if kind == "parquet":
        yield from _parquet(file)
        return
    with file.open("rb") as content:
        if kind == "csv":
            yield from _csv(content)
        elif kind == "nul":
            for number, entry in entries(content, b"\0"):
                yield f"entry {number}", _of_bytes(entry, "nul")
        else:
            for number, entry in lines(content):
                yield f"line {number}", _of_bytes(entry, kind)


def _of_bytes(entry: bytes | None, kind: str) -> Any:
    """A path as its record at once, for there may be many; anything else as what it is made of."""
    if entry is None:
        return BadEntry(_TOO_LONG)
    try:
        if kind == "jsonl":
            return _json(entry) if entry.strip() else BadEntry("is empty: delete it")
        if kind == UNSAID_GPFS and b"%" in entry and has_percent(entry):
            raise BadEntry(f"is of a GPFS file list, and {UNCLEAR_PERCENT}")
        if kind in ("gpfs", "gpfs-escape", UNSAID_GPFS):
            return FileRecord(gpfs_path(entry, escaped=kind == "gpfs-escape"))
        return FileRecord(path_of(entry, of_line=kind == "lines"))
    except BadEntry as error:
        return BadEntry(f"{error} ({shown(entry[:200].decode('utf-8', 'surrogateescape'))})" if entry else str(error))


def _csv(content: Any) -> Iterator[Entry]:
    text = io.TextIOWrapper(content, "utf-8", "surrogateescape", newline="")
    rows = csv.reader(text, strict=True)
    header = [name.removeprefix("\ufeff").strip() for name in next(rows, [])]
    known = [name.lower() for name in header]
    if "path" not in known:
        yield "line 1", BadEntry(f"has no column `path`, only {shown(', '.join(header))[:200] or 'nothing'}")
        return
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        yield "line 1", BadEntry(f"names the column {shown(twice[0])} twice: keep one")
        return
    names = [low if low in _COLUMNS else name for low, name in zip(known, header, strict=True)]
    begins = rows.line_num + 1
    for row in rows:
        place, begins = f"line {begins}", rows.line_num + 1
        if len(row) == len(names):
            yield place, dict(zip(names, row, strict=True))
        elif row:
            yield (
                place,
                BadEntry(f"has {len(row)} columns, and the header {len(names)}: put quotes round what has a comma"),
            )


def _parquet(file: Path) -> Iterator[Entry]:
    number = 0
    with pq.ParquetFile(file) as table:
        if "path" not in table.schema_arrow.names:
            yield "row 1", BadEntry(f"has no column `path`, only {shown(', '.join(table.schema_arrow.names))[:200]}")
            return
        for batch in table.iter_batches(_PAGE):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", _of_columns(row)


def _of_columns(row: dict[str, Any]) -> dict[str, Any]:
    if isinstance(row["path"], str):
        row["path"] = to_path(row["path"])
    elif isinstance(row["path"], bytes):
        row["path"] = row["path"].decode("utf-8", "surrogateescape")
    for name in (*_AS_HUB, *_TIMES):
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            row[name] = value / 1_000_000
        elif isinstance(value, datetime):
            row[name] = value.isoformat()
    return row


_COLUMNS = frozenset(
    {"path", "type", "size", "data_size", "disk_usage", *_AS_HUB, *_TIMES, "status", "metadata", "deleted"}
    | {"owner", "group", "user", "uid", "gid"}
)


def _record(found: Any) -> FileRecord | BadEntry:
    try:
        if isinstance(found, str):
            return FileRecord(checked(found))
        if not isinstance(found, dict):
            raise BadEntry(f"is neither an object nor a path: {shown(str(found))[:200]}")
        given = {str(key): value for key, value in found.items() if value not in (None, "")}
        return _of_object({_AS_HUB.get(key, key): value for key, value in given.items()})
    except BadEntry as error:
        return error


def _of_object(row: dict[str, Any]) -> FileRecord:
    path = row.get("path")
    if not isinstance(path, str):
        raise BadEntry("has no `path`: write it, from the root" if path is None else "has a `path` that is no text")
    try:
        checked(path)
    except BadEntry as error:
        raise BadEntry(f"{error} ({shown(path)[:200]})") from None
    if isinstance(row.get("metadata"), str):
        row["metadata"] = _json(row["metadata"].encode("utf-8", "surrogateescape"))
    problems: list[str] = []
    record = from_object(row, "/", problems.append)
    if record is None:
        raise BadEntry("; ".join(problems) or "is marked as deleted: leave it out of the list")
    for name, value, wanted in (
        ("size", record.size, "number of bytes"),
        ("disk_usage", record.disk_usage, "number of bytes"),
        ("atime", record.atime, "time, ISO 8601 or seconds"),
        ("mtime", record.mtime, "time, ISO 8601 or seconds"),
        ("ctime", record.ctime, "time, ISO 8601 or seconds"),
    ):
        if value is None and name in row:
            raise BadEntry(f"has {name} {shown(str(row[name]))[:100]}, which is no {wanted}")
    return record


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise BadEntry(f"is not JSON: {error}") from None


def _told(wrong: int, examples: list[str]) -> str:
    if wrong == 1:
        return examples[0]
    count = f"{wrong:,}" if wrong < MOST else f"{MOST:,} or more"
    rest = f"\n  and {wrong - len(examples):,} more" if MOST > wrong > len(examples) else ""
    return f"{count} entries cannot be read, so nothing of it is taken:\n  " + "\n  ".join(examples) + rest


def _bad(file: Path, what: str) -> BadList:
    """Say where a relative name was looked for: a worker may stand in another folder than the person who wrote it."""
    looked_up = "" if file.is_absolute() else f" (looked up as {shown(str(file.absolute()))})"
    return BadList(f"the list {shown(str(file))}{looked_up}: {what}")
