"""The Hub's own policies, which tier between pools by themselves: shown beside ours, never changed by us."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import field_validator

from activities.hub.client import Hub
from activities.hub.reading import MaybeMoment, MaybeWhole, Record, Reference, read
from activities.hub.wire import filled


class HubPolicy(Record):
    """A hub policy; its parts without a settled shape stay as the Hub gives them."""

    id: int
    name: str
    enabled: bool | None = None
    policy_type: str | None = None
    filesystem: str | None = None
    site: Reference = None
    spaces: tuple[Reference, ...] = ()
    threads: MaybeWhole = None
    created: MaybeMoment = None
    order: Any = None
    schedule: Any = None
    triggers: Any = None
    condition_groups: Any = None

    @field_validator("spaces", mode="before")
    @classmethod
    def _never_null(cls, value: Any) -> Any:
        return () if value is None else value


async def policies(hub: Hub) -> AsyncIterator[HubPolicy]:
    """All hub policies."""
    async for policy in hub.items("/policies/", None, HubPolicy):
        yield policy


async def one(hub: Hub, policy: int) -> HubPolicy:
    """One hub policy. Raises NotFound."""
    path = filled("/policies/{id}/", id=policy)
    return read(HubPolicy, await hub.get(path), f"GET {path}")


async def as_given(hub: Hub, path: str = "/policies/") -> AsyncIterator[Any]:
    """All hub policies, or what else a path lists, as the Hub gives them: for a reader that must not lose a word."""
    async for page in hub.pages(path):
        for record in page.records():
            yield record
