"""The Hub's spaces: named directories that its users work in."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import field_validator

from activities.hub.client import Hub
from activities.hub.reading import MaybeMoment, MaybeWhole, Record, Reference, read
from activities.hub.wire import filled


class SpaceSite(Record):
    """Where a space lives: the site, and the pool its data is in."""

    id: str | None = None
    name: str
    label: str | None = None
    pool: Reference = None


class Space(Record):
    """A space, by its number and its directory."""

    id: int
    name: str
    mountpoint: str
    uuid: str | None = None
    size: MaybeWhole = None
    created: MaybeMoment = None
    sites: tuple[SpaceSite, ...] = ()

    @field_validator("sites", mode="before")
    @classmethod
    def _as_objects(cls, value: Any) -> Any:
        return [{"name": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else ()


async def spaces(hub: Hub, *, site_id: int | None = None, search_keyword: str | None = None) -> AsyncIterator[Space]:
    """All spaces, or those on a site or with a word."""
    params = {"site_id": site_id, "search_keyword": search_keyword}
    async for space in hub.items("/spaces/", params, Space):
        yield space


async def one(hub: Hub, space: int) -> Space:
    """One space. Raises NotFound."""
    path = filled("/spaces/{id}/", id=space)
    return read(Space, await hub.get(path), f"GET {path}")


async def named(hub: Hub, name: str) -> Space | None:
    """The space of a name; None when there is none."""
    async for space in spaces(hub):
        if space.name == name:
            return space
    return None
