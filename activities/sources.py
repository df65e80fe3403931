"""Where an inventory's files come from: folders that are browsed, a search, a list in a file, or the roots alone."""

import asyncio
import csv
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from temporalio.exceptions import ApplicationError

from activities.errors import NotFound, Permanent
from activities.hub import files, search, spaces
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord, from_object
from activities.hub.search import SearchRequest
from activities.hub.spaces import Space
from workflows.names import shown, to_path

Problem = Callable[[str], None]
_LOG = logging.getLogger(__name__)
_PAGE = 1_000
_HEAD = 65_536


class BadList(ApplicationError):
    """The file that lists the paths cannot be read as what its name says: see the message and correct the file."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="BadList", non_retryable=True)


async def space_named(hub: Hub, name: str) -> Space:
    """Look a space up by its name; raise NotFound when there is none."""
    space = await spaces.named(hub, name)
    if space is None:
        raise NotFound(f"GET /spaces/: there is no space {name!r}", operation="GET /spaces/")
    return space


async def found_below(hub: Hub, site: str, folder: str, problem: Problem) -> AsyncIterator[list[FileRecord]]:
    """Search a folder of a site; what other sites hold is left out."""
    number = await search.start(hub, SearchRequest(folder, sites=(site,)))
    async for page in search.results(hub, number, problem=problem):
        yield [one for one, where in zip(page.records, page.sites, strict=True) if where in (None, site)]
    try:
        await search.delete(hub, number)
    except Permanent as error:
        _LOG.info("the Hub keeps search %d: %s", number, error)


async def with_types(
    hub: Hub, site: str, space: int | None, records: list[FileRecord], problem: Problem
) -> list[FileRecord]:
    """Ask once more for things of which a list did not say what they are: a directory must not pass for a file."""
    unclear = [record.path for record in records if record.type is None]
    if not unclear:
        return records
    found = await files.stat_many(hub, site, unclear, space=space)
    clear = [record for record in records if record.type is not None]
    for path in unclear:
        record = found.get(path)
        if record is not None and record.type is not None:
            clear.append(record)
        else:
            problem(f"{shown(path)}: the Hub does not say what it is")
    return clear


def roots(paths: Sequence[str]) -> list[str]:
    """Drop what lies inside another of the folders, so that no file is listed twice."""
    kept: list[str] = []
    for path in sorted({path.rstrip("/") or "/" for path in paths}, key=lambda path: (len(path), path)):
        if not any(is_inside(path, other) for other in kept):
            kept.append(path)
    return kept


def is_inside(path: str, folder: str) -> bool:
    """Tell whether a path lies below a folder, or is it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


async def listed_in(name: str) -> AsyncIterator[list[FileRecord]]:
    """Read a list of files: Parquet, CSV with a header, JSON lines, else one path a line or NUL-terminated.

    Columns are named as a policy names attributes, or as the Hub does; what is missing is unknown.
    """
    pages = _pages(Path(name))
    while page := await asyncio.to_thread(next, pages, None):
        yield page


def _pages(file: Path) -> Iterator[list[FileRecord]]:
    page: list[FileRecord] = []
    try:
        for number, row in enumerate(_rows(file), 1):
            page.append(_record(file, number, row))
            if len(page) >= _PAGE:
                yield page
                page = []
    except OSError as error:  # A run tells its innermost cause, and that must be ours: it names the file.
        raise _bad(file, f"cannot be read: {error.strerror or error}") from None
    except (csv.Error, UnicodeError, pa.ArrowException) as error:
        raise _bad(file, f"is not what its name says: {error}") from None
    if page:
        yield page


def _rows(file: Path) -> Iterator[Any]:
    kind = file.suffix.lower()
    if kind == ".parquet":
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(_PAGE):
                yield from batch.to_pylist()
        return
    with file.open("rb") as content:
        if kind == ".csv":
            text = io.TextIOWrapper(content, "utf-8", "surrogateescape", newline="")
            yield from csv.DictReader(text)
        elif kind in (".jsonl", ".ndjson"):
            for line in content:
                if line.strip():
                    yield _json(file, line)
        else:
            yield from _plain(content)


def _plain(content: io.BufferedReader) -> Iterator[str]:
    separator = b"\0" if b"\0" in content.peek(_HEAD)[:_HEAD] else b"\n"
    rest = b""
    while chunk := content.read(_HEAD):
        *lines, rest = (rest + chunk).split(separator)
        yield from (_name(line) for line in lines if line)
    if rest:
        yield _name(rest)


def _name(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _json(file: Path, line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise _bad(file, f"a line is not JSON: {error}") from None


_AS_HUB = {"accessed": "atime", "modified": "mtime", "changed": "ctime"}


def _record(file: Path, number: int, row: Any) -> FileRecord:
    if isinstance(row, dict):
        if file.suffix.lower() == ".parquet" and isinstance(row.get("path"), str):
            row["path"] = to_path(row["path"])
        row = {_AS_HUB.get(key, key): value for key, value in row.items() if value not in (None, "")}
        for key in _AS_HUB.values():
            if isinstance(row.get(key), int) and file.suffix.lower() == ".parquet":
                row[key] = row[key] / 1_000_000
            elif isinstance(row.get(key), datetime):
                row[key] = row[key].isoformat()
        if isinstance(row.get("metadata"), str):
            row["metadata"] = _json(file, row["metadata"].encode("utf-8", "surrogateescape"))
    path = row.get("path") if isinstance(row, dict) else row
    if not isinstance(path, str) or not path.startswith("/"):
        raise _bad(file, f"entry {number} has no path that starts with `/`: {shown(str(path))[:200]}")
    problems: list[str] = []
    record = from_object(row if isinstance(row, dict) else path, "/", problems.append)
    if record is None:
        raise _bad(file, f"entry {number}: {'; '.join(problems) or 'it is marked as deleted'}")
    return record


def _bad(file: Path, what: str) -> BadList:
    """Say where a relative name was looked for: a worker may stand in another folder than the person who wrote it."""
    looked_up = "" if file.is_absolute() else f" (looked up as {shown(str(file.absolute()))})"
    return BadList(f"the list {shown(str(file))}{looked_up}: {what}")
