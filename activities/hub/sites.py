"""The Hub's sites, and whether one is well."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field, field_validator

from activities.errors import BadAnswer, ContractError, HubError, Retryable
from activities.hub.client import Hub
from activities.hub.reading import MaybeWhole, Record, Reference, read
from activities.hub.wire import filled


class Site(Record):
    """A place with file systems that the Hub governs."""

    id: int
    name: str
    label: str | None = None
    shortcode: str | None = None
    timezone: str | None = None
    type: str | None = None
    files_count: MaybeWhole = None
    directories_count: MaybeWhole = None
    spaces: tuple[Reference, ...] = Field(default=())

    @field_validator("spaces", mode="before")
    @classmethod
    def _never_null(cls, value: Any) -> Any:
        return () if value is None else value


class Health(Record):
    """Whether a site is well, and why not."""

    healthy: bool
    error: str | None = None


async def sites(hub: Hub) -> AsyncIterator[Site]:
    """All sites."""
    async for site in hub.items("/sites/", None, Site):
        yield site


async def one(hub: Hub, site: int) -> Site:
    """One site. Raises NotFound."""
    path = filled("/sites/{id}/", id=site)
    return read(Site, await hub.get(path), f"GET {path}")


async def named(hub: Hub, name: str) -> Site | None:
    """The site of a name, or else of a short code; None when there is none."""
    found = [site async for site in sites(hub)]
    return next((site for site in found if site.name == name), None) or next(
        (site for site in found if site.shortcode == name), None
    )


async def answers(hub: Hub, name: str) -> bool:
    """Whether the Hub itself speaks and knows a site: else its `not found` about other things proves nothing."""
    try:
        return await named(hub, name) is not None
    except HubError:
        return False


async def health(hub: Hub, site: int) -> Health:
    """Whether a site is well: any good answer without an `error` says so; trouble in answering says it is not."""
    try:
        told = await hub.get(filled("/sites/{id}/health/", id=site))
    except (Retryable, ContractError) as error:
        if isinstance(error, BadAnswer):
            raise
        return Health(healthy=False, error=str(error))
    wrong = told.get("error") or told.get("errors") if isinstance(told, dict) else None
    return Health(healthy=not wrong, error=None if not wrong else str(wrong)[:500])
