"""The Hub's nodes: the machines that do the work."""

from collections.abc import AsyncIterator

from activities.hub.client import Hub
from activities.hub.reading import MaybeMoment, Record, Reference, read
from activities.hub.wire import filled


class Node(Record):
    """A node: whether it is there, and when it was last heard of."""

    id: int
    name: str
    site: Reference = None
    online: bool | None = None
    last_heartbeat: MaybeMoment = None
    has_default_queue: bool | None = None


async def nodes(hub: Hub) -> AsyncIterator[Node]:
    """All nodes of all sites."""
    async for node in hub.items("/nodes/", None, Node):
        yield node


async def one(hub: Hub, node: int) -> Node:
    """One node. Raises NotFound."""
    path = filled("/nodes/{id}/", id=node)
    return read(Node, await hub.get(path), f"GET {path}")
