"""The Hub's own schedules: shown beside ours, never changed by us."""

from collections.abc import AsyncIterator
from typing import Any

from activities.hub.client import Hub
from activities.hub.reading import Record, Reference, read
from activities.hub.wire import filled


class HubSchedule(Record):
    """A hub schedule, in the five fields of a cron line."""

    id: int
    name: str
    enabled: bool | None = None
    site: Reference = None
    space: Reference = None
    discovery: str | None = None
    minute: str = "*"
    hour: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    day_of_week: str = "*"
    managed_paths: Any = None


async def schedules(hub: Hub, *, site_id: int | None = None, space_id: int | None = None) -> AsyncIterator[HubSchedule]:
    """All hub schedules, or those of a site or space."""
    async for schedule in hub.items("/schedules/", {"site_id": site_id, "space_id": space_id}, HubSchedule):
        yield schedule


async def one(hub: Hub, schedule: int) -> HubSchedule:
    """One hub schedule. Raises NotFound."""
    path = filled("/schedules/{id}/", id=schedule)
    return read(HubSchedule, await hub.get(path), f"GET {path}")
