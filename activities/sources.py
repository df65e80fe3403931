"""Where an inventory's files come from: folders that are browsed, a search, or the roots alone."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence

from activities.errors import NotFound, Permanent
from activities.hub import files, search, spaces
from activities.hub.client import Hub
from activities.hub.namespace import FileRecord
from activities.hub.search import SearchRequest
from activities.hub.spaces import Space
from workflows.names import shown

Problem = Callable[[str], None]
_LOG = logging.getLogger(__name__)


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
