"""The Hub's storage pools: how full each is."""

from collections.abc import AsyncIterator

from activities.hub.client import Hub
from activities.hub.reading import Record, Whole, read
from activities.hub.wire import filled


class StoragePool(Record):
    """A pool of a file system, in bytes; used and free need not add up to the capacity."""

    name: str
    site: int
    filesystem: str
    capacity: Whole
    used_space: Whole
    free_space: Whole
    is_default: bool | None = None
    id: int | None = None

    @property
    def utilisation(self) -> float | None:
        """The used share of the capacity, 0 to 1 or above; None when it has none."""
        return self.used_space / self.capacity if self.capacity > 0 else None


async def storagepools(hub: Hub) -> AsyncIterator[StoragePool]:
    """All pools of all sites."""
    async for pool in hub.items("/storagepools/", None, StoragePool):
        yield pool


async def one(hub: Hub, pool: int | str) -> StoragePool:
    """One pool. Raises NotFound."""
    path = filled("/storagepools/{id}/", id=pool)
    return read(StoragePool, await hub.get(path), f"GET {path}")


async def named(hub: Hub, name: str, *, site_id: int | None = None) -> StoragePool | None:
    """The pool of a name, on a site if one is given; None when there is none."""
    async for pool in storagepools(hub):
        if pool.name == name and site_id in (None, pool.site):
            return pool
    return None
