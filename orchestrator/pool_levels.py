"""The level of a storage pool, now and after a plan: told only where it is known which pool the files lie in."""

from dataclasses import dataclass

from activities.errors import HubError
from activities.hub import sites, spaces, storagepools
from activities.hub.client import Hub
from activities.hub.storagepools import StoragePool
from workflows.approving import is_destructive
from workflows.policy import Policy


@dataclass(frozen=True)
class PoolLevel:
    """A pool as the Hub measured it (bytes), what makes it the files' one, and the policy's marks in percent."""

    name: str
    why: str
    used: int
    capacity: int
    upper: float | None = None
    lower: float | None = None

    @property
    def percent(self) -> float:
        """The level now."""
        return 100 * self.used / self.capacity

    def percent_after(self, freed: int) -> float:
        """The level when so many bytes less are used."""
        return 100 * max(self.used - freed, 0) / self.capacity


def frees_space(policy: Policy) -> bool:
    """Tell whether the policy's hub workflow gives blocks back: a migration leaves a stub, a deletion nothing."""
    return any(name == "migrate" or is_destructive(name) for name in policy.run.hub_workflows)


async def pool_level(hub: Hub, policy: Policy) -> PoolLevel | None:
    """Find the pool that the policy's files lie in and measure it; None when that cannot be known."""
    if not frees_space(policy):
        return None
    try:
        site = await sites.named(hub, policy.one_site)
        pools = [] if site is None else [one async for one in storagepools.storagepools(hub) if one.site == site.id]
        space = policy.select.source.space
        of_space = None if space is None else await _pool_of_space(hub, space, policy.one_site)
    except HubError:  # a plan is whole without its pool's level
        return None
    pools = [one for one in pools if one.capacity > 0]
    found = _of_trigger(policy, pools) or _of_space(of_space, pools) or _of_site(pools)
    if found is None:
        return None
    pool, why = found
    marks = [t.threshold for t in policy.triggers if t.threshold is not None and t.threshold.pool == pool.name]
    return PoolLevel(
        name=pool.name,
        why=why,
        used=pool.used_space,
        capacity=pool.capacity,
        upper=marks[0].upper if marks else None,
        lower=marks[0].lower if marks else None,
    )


async def _pool_of_space(hub: Hub, name: str, site: str) -> str | None:
    space = await spaces.named(hub, name)
    named = [one.pool for one in space.sites if one.name == site and one.pool is not None] if space else []
    return named[0] if named else None


def _of_trigger(policy: Policy, pools: list[StoragePool]) -> tuple[StoragePool, str] | None:
    wanted = {(t.threshold.pool, t.threshold.filesystem) for t in policy.triggers if t.threshold is not None}
    if len(wanted) != 1:
        return None
    [(name, filesystem)] = wanted
    found = [one for one in pools if one.name == name and filesystem in (None, one.filesystem)]
    return (found[0], "named by the policy's threshold") if len(found) == 1 else None


def _of_space(name: str | None, pools: list[StoragePool]) -> tuple[StoragePool, str] | None:
    found = [one for one in pools if name is not None and name in (one.name, str(one.id))]
    return (found[0], "the pool of the space") if len(found) == 1 else None


def _of_site(pools: list[StoragePool]) -> tuple[StoragePool, str] | None:
    if len(pools) == 1:
        return pools[0], "the site's only pool"
    default = [one for one in pools if one.is_default]
    return (default[0], "the site's default pool") if len(default) == 1 else None
