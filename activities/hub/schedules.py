"""The Hub's own schedules, their hub workflows and the timetable: shown beside ours, never changed by us."""

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


async def as_given(hub: Hub) -> AsyncIterator[Any]:
    """All hub schedules as the Hub gives them."""
    async for record in _listed(hub, "/schedules/"):
        yield record


async def workflows_as_given(hub: Hub, schedule: str) -> AsyncIterator[Any]:
    """What a hub schedule starts, as the Hub gives it. Raises NotFound."""
    async for record in _listed(
        hub, filled("/schedules/{parent_lookup_schedule}/workflows/", parent_lookup_schedule=schedule)
    ):
        yield record


async def timetable_as_given(hub: Hub) -> AsyncIterator[Any]:
    """The timetable of hub policies and hub schedules together, as the Hub gives it."""
    async for record in _listed(hub, "/automatedschedules/"):
        yield record


async def _listed(hub: Hub, path: str) -> AsyncIterator[Any]:
    async for page in hub.pages(path):
        for record in page.records():
            yield record
