"""The Hub's view of the namespace: a directory page by page, and single files."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from posixpath import dirname
from typing import Any

from activities.errors import BadAnswer, NotFound
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord, Problem, from_object, listed
from activities.hub.paging import Page
from activities.hub.wire import Params, filled

__all__ = ["FilePage", "FileRecord", "listing", "listing_pages", "stat", "stat_many"]

_PAGE = 100
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class FilePage:
    """One page of a directory: `next` continues after it (also in another process), `count` is the Hub's claim."""

    records: list[FileRecord]
    next: str | None
    count: int | None


def _ignored(_: str) -> None:
    """For callers that count no problems."""


async def listing(
    hub: Hub,
    directory: str,
    *,
    site: str | None = None,
    space: int | None = None,
    after: str | None = None,
    problem: Problem = _ignored,
) -> AsyncIterator[list[FileRecord]]:
    """The children of a directory, one list a page, through its space or through `/file/`."""
    async for page in listing_pages(hub, directory, site=site, space=space, after=after, problem=problem):
        yield page.records


async def listing_pages(
    hub: Hub,
    directory: str,
    *,
    site: str | None = None,
    space: int | None = None,
    after: str | None = None,
    problem: Problem = _ignored,
) -> AsyncIterator[FilePage]:
    """The same with each page's `next`, which as `after` goes on from there; `problem` hears of unreadable entries."""
    path = "/file/" if space is None else filled("/spaces/{id}/files/", id=space)
    params: Params = {"path": directory, "site": site, "details": True}
    pages = hub.pages(path, params) if after is None else hub.pages(after)
    async for page in pages:
        yield FilePage(_records(page, path, directory, problem), page.next, page.count)


async def stat(hub: Hub, site: str | None, path: str, *, space: int | None = None) -> FileRecord | None:
    """What the Hub knows about one path; None when it does not exist."""
    target = "/file/" if space is None else filled("/spaces/{id}/files/", id=space)
    try:
        found = await hub.get(target, {"path": path, "site": site, "details": True, "page_size": 20})
    except NotFound:
        return None
    return _itself(found, path)


async def stat_many(
    hub: Hub, site: str | None, paths: Iterable[str], *, space: int | None = None
) -> dict[str, FileRecord | None]:
    """What the Hub knows about many paths: directory by directory, by listing or singly, whichever costs less."""
    groups: dict[str, set[str]] = {}
    for path in paths:
        groups.setdefault(dirname(path) or "/", set()).add(path)
    lanes = asyncio.Semaphore(_AT_ONCE)

    async def group(directory: str, wanted: set[str]) -> dict[str, FileRecord | None]:
        found, rest = await _by_listing(hub, site, space, directory, wanted, lanes)

        async def single(path: str) -> tuple[str, FileRecord | None]:
            async with lanes:
                return path, await stat(hub, site, path, space=space)

        return found | dict(await asyncio.gather(*(single(path) for path in rest)))

    answers = await asyncio.gather(*(group(directory, wanted) for directory, wanted in groups.items()))
    return {path: record for answer in answers for path, record in answer.items()}


async def _by_listing(
    hub: Hub, site: str | None, space: int | None, directory: str, wanted: set[str], lanes: asyncio.Semaphore
) -> tuple[dict[str, FileRecord | None], set[str]]:
    """List as long as the pages that remain are fewer than the wanted paths that remain; and which these are."""
    rest = set(wanted)
    if len(rest) < 2:
        return {}, rest
    found: dict[str, FileRecord | None] = {}
    read = 0
    async with lanes:
        try:
            async for page in listing_pages(hub, directory, site=site, space=space):
                read += 1
                for record in page.records:
                    if record.path in rest:
                        rest.discard(record.path)
                        found[record.path] = record
                if page.next is None or not rest:
                    break
                remaining = -(-page.count // _PAGE) - read if page.count is not None else read
                if max(1, remaining) >= len(rest):
                    break
        except NotFound:
            return dict.fromkeys(wanted), set()
    # What a whole listing did not show is still looked at singly: entries move between pages while others come and go.
    return found, rest


def _records(page: Page, path: str, directory: str, problem: Problem) -> list[FileRecord]:
    try:
        return [record for record in listed(page.content, directory, problem) if record.path != directory]
    except ValueError:
        failure = BadAnswer(f"GET {path}: the page is not JSON, or was cut off", operation=f"GET {path}")
    raise failure


def _itself(found: Any, path: str) -> FileRecord | None:
    """The record of the path itself within the answer to a look-up: the object, or one of a list."""
    directory = dirname(path)
    if isinstance(found, dict):
        inner = next((found[name] for name in ("results", "children") if isinstance(found.get(name), list)), None)
        if isinstance(found.get("path"), str) and found["path"].rstrip("/") == path.rstrip("/"):
            missing = found.get("error") and found.get("type") is None
            return None if missing else from_object({**found, "path": path}, directory, _ignored)
        found = inner if inner is not None else [found]
    if not isinstance(found, list):
        return None
    for one in found:
        record = from_object(one, directory, _ignored)
        if record is not None and record.path == path:
            return record
    # A list of things below the path: the path is a directory.
    return FileRecord(path, "directory") if found and all(_below(one, path) for one in found) else None


def _below(found: Any, path: str) -> bool:
    given = found.get("path") if isinstance(found, dict) else None
    return isinstance(given, str) and given.startswith(path.rstrip("/") + "/")
