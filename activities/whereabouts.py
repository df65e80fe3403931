"""What the Hub says now about the files of a batch; one that it refuses to show costs only itself."""

import asyncio
from collections.abc import Sequence

from activities.errors import AuthError, Permanent, ServerFault
from activities.hub import files, sites
from activities.hub.client import Hub
from activities.hub.files import FileRecord

_AT_ONCE = 8

EXPECTED = {
    "migrate": {"migrated"},
    "premigrate": {"premigrated", "migrated"},
    "recall": {"resident", "premigrated"},
    "delete": {"gone"},
}
"""Where a file may be after a hub workflow; others cannot be verified by status."""


async def look(hub: Hub, site: str, paths: Sequence[str]) -> dict[str, FileRecord | Permanent | None]:
    """Give each path's record, None where there is no such file, or the error with which the Hub refuses to tell.

    Raises Retryable: as long as the Hub fails for one of them, nothing is known about any.
    """
    found: dict[str, FileRecord | Permanent | None]
    try:
        found = {**await files.stat_many(hub, site, paths)}
    except AuthError:
        raise
    except Permanent:
        found = await _one_by_one(hub, site, paths)
    if any(found.get(path) is None for path in paths) and not await sites.answers(hub, site):
        raise ServerFault("the Hub finds neither the files nor its own site: a proxy may speak for it")
    return {path: found.get(path) for path in paths}


async def misplaced(hub: Hub, site: str, hub_workflow: str, paths: Sequence[str]) -> dict[str, str]:
    """Tell of each path that is not where the hub workflow puts files where it is instead.

    A file whose place the Hub does not tell is not where it should be. Raises Retryable.
    """
    expected = EXPECTED.get(hub_workflow)
    if expected is None or not paths:
        return {}
    found = {path: _place(record) for path, record in (await look(hub, site, paths)).items()}
    return {path: place for path, place in found.items() if place not in expected}


def _place(record: FileRecord | Permanent | None) -> str:
    if isinstance(record, Permanent):
        return f"not shown by the Hub ({record})"
    if record is None:
        return "gone"
    return record.status or "in a state that the Hub does not tell"


async def _one_by_one(hub: Hub, site: str, paths: Sequence[str]) -> dict[str, FileRecord | Permanent | None]:
    lanes = asyncio.Semaphore(_AT_ONCE)

    async def one(path: str) -> FileRecord | Permanent | None:
        async with lanes:
            try:
                return await files.stat(hub, site, path)
            except AuthError:
                raise
            except Permanent as error:
                return error

    return dict(zip(paths, await asyncio.gather(*(one(path) for path in paths)), strict=True))
