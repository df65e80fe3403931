"""The Hub's queues: where jobs wait for nodes."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import field_validator

from activities.hub.client import Hub
from activities.hub.reading import MaybeMoment, Record, Reference, read
from activities.hub.wire import filled


class Queue(Record):
    """A queue, and the nodes that serve it; `nodes` is None where the Hub does not tell."""

    id: int
    name: str
    label: str | None = None
    site: Reference = None
    last_heartbeat: MaybeMoment = None
    nodes: tuple[Reference, ...] | None = None

    @field_validator("nodes", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name for name in value.replace(",", " ").split() if name]
        return value if isinstance(value, list) else None


async def queues(hub: Hub) -> AsyncIterator[Queue]:
    """All queues of all sites."""
    async for queue in hub.items("/queues/", None, Queue):
        yield queue


async def one(hub: Hub, queue: int) -> Queue:
    """One queue. Raises NotFound."""
    path = filled("/queues/{id}/", id=queue)
    return read(Queue, await hub.get(path), f"GET {path}")


async def named(hub: Hub, name: str, *, site: str | None = None) -> Queue | None:
    """The queue of a name, on a site where the Hub tells it; None when there is none."""
    async for queue in queues(hub):
        if queue.name == name and (site is None or queue.site in (None, site)):
            return queue
    return None
