"""The Hub's search: start one, read what it finds as records of the namespace."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from activities.errors import BadAnswer, ContractError, NotFound
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord, Problem, flat, kind, micros, status, text, whole, within
from activities.hub.numbers import job_number
from activities.hub.paging import Page
from activities.hub.wire import filled

#: Which metadata keys hold an attribute, the first present one counts; Hubs differ, so this can be set.
KEYS: Mapping[str, Sequence[str]] = {
    "type": ("core.type", "type", "core.filetype", "filetype"),
    "size": ("core.size", "size", "core.filesize", "filesize"),
    "disk_usage": ("core.disk_usage", "disk_usage", "core.diskusage", "core.allocated", "allocated"),
    "atime": ("core.accesstime", "core.atime", "atime", "accesstime", "access_time"),
    "mtime": ("core.modificationtime", "core.mtime", "mtime", "modificationtime", "modification_time"),
    "ctime": ("core.changetime", "core.ctime", "ctime", "changetime", "change_time"),
    "status": ("core.status", "status", "core.migration_status", "ngenea.status", "hsm.status"),
    "owner": ("core.owner", "owner", "core.user", "user", "core.uid", "uid"),
    "group": ("core.group", "group", "core.gid", "gid"),
}


@dataclass(frozen=True)
class SearchRequest:
    """What to search for; filters and wanted metadata are the Hub's own words."""

    path: str
    recursive: bool = True
    sites: Sequence[str] = ()
    filters: Any = None
    metadata_fields: Any = None

    def body(self) -> dict[str, Any]:
        """The request body as the contract has it."""
        given = {"sites": list(self.sites) or None, "filters": self.filters, "metadata_fields": self.metadata_fields}
        return {
            "path": self.path,
            "recursive": self.recursive,
            **{name: value for name, value in given.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of what a search found; `next` continues after it."""

    records: list[FileRecord]
    next: str | None
    count: int | None
    sites: list[str | None] = field(default_factory=list)


async def start(hub: Hub, request: SearchRequest) -> int:
    """Start a search and give back its number; one more search does no harm, so it is sent again when in doubt."""
    answer = await hub.post("/search/", request.body(), repeat=True)
    number = job_number(answer, own=True)
    if number is None:
        raise ContractError("POST /search/: the answer has no number in field 'id' or 'url'", operation="POST /search/")
    return number


async def results(
    hub: Hub,
    search: int,
    *,
    after: str | None = None,
    keys: Mapping[str, Sequence[str]] = KEYS,
    problem: Problem = lambda _: None,
    patience: float = 30.0,
) -> AsyncIterator[SearchPage]:
    """What a search found, page by page; `problem` hears of entries that cannot be read.

    A Hub may answer 404 while a new search is not there yet: this is waited for, up to `patience` seconds.
    """
    path = filled("/search/{id}/", id=search)
    waited, pause = 0.0, 0.25
    while True:
        try:
            async for page in hub.pages(path if after is None else after):
                yield _page(page, path, keys, problem)
                after, waited = page.next, patience
            return
        except NotFound:
            if waited >= patience or after is not None:
                raise
        await asyncio.sleep(pause)
        waited, pause = waited + pause, min(2.0, pause * 2)


async def delete(hub: Hub, search: int) -> None:
    """Forget a search."""
    await hub.request("DELETE", filled("/search/{id}/", id=search), repeat=True)


def _page(page: Page, path: str, keys: Mapping[str, Sequence[str]], problem: Problem) -> SearchPage:
    try:
        found = page.records()
    except ValueError:
        failure = BadAnswer(f"GET {path}: the page is not JSON, or was cut off", operation=f"GET {path}")
        raise failure from None
    pairs = [(record, one) for one in found if (record := _record(one, keys, problem)) is not None]
    sites = [text(one.get("site")) for _, one in pairs]
    return SearchPage([record for record, _ in pairs], page.next, page.count, sites)


def _record(found: Any, keys: Mapping[str, Sequence[str]], problem: Problem) -> FileRecord | None:
    path = found.get("path") if isinstance(found, dict) else None
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(path, str) or not path:
        problem("a search result has no path")
        return None
    metadata = flat(found.get("metadata"))
    value = {
        attribute: next((metadata[key] for key in names if key in metadata), None) for attribute, names in keys.items()
    }
    used = {key for names in keys.values() for key in names}
    return FileRecord(
        _whole_path(path, name),
        kind(value.get("type") or found.get("type")),
        whole(value.get("size")),
        whole(value.get("disk_usage")),
        micros(value.get("atime")),
        micros(value.get("mtime")),
        micros(value.get("ctime")),
        status(value.get("status")),
        text(value.get("owner")),
        text(value.get("group")),
        {key: one for key, one in metadata.items() if key not in used} or None,
    )


def _whole_path(path: str, name: Any) -> str:
    """Some Hubs give the directory as path and the name apart; a path that ends in the name is whole."""
    if not isinstance(name, str) or not name or path == name or path.endswith("/" + name):
        return path
    return within(path, name)
