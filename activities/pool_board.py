"""One measurement of the Hub's pools for all that a worker watches: one list serves them all, whoever asks."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from activities.errors import HubError
from activities.hub import sites, storagepools
from activities.hub.client import Hub
from workflows.pools import Level, PoolRef

__all__ = ["Measured", "PoolBoard", "Seat", "find"]

_log = logging.getLogger(__name__)

FASTEST = 0.2
SITES_FOR = 600.0
"""Seconds for which the numbers of the sites are believed."""
SLOWEST = 60.0

Measured = Mapping[PoolRef, Level]
"""Every pool of every site with a capacity, by site, file system and name."""


def find(measured: Measured, ref: PoolRef) -> Level | None:
    """Find a pool by the names of a policy; None when there is none, or several of that name in file systems."""
    if ref.filesystem is not None:
        return measured.get(ref)
    found = [level for there, level in measured.items() if (there.site, there.pool) == (ref.site, ref.pool)]
    return found[0] if len(found) == 1 else None


class Seat:
    """A watcher's place: it hears every measurement until it has what it waits for."""

    def __init__(self, ref: PoolRef, every: float, hear: Callable[[Level | None], bool]) -> None:
        self.ref = ref
        self.every = every
        self.trouble: str | None = None
        self._hear = hear
        self._done = asyncio.Event()

    def tell(self, level: Level | None) -> None:
        """Pass a measurement on."""
        self.trouble = None
        if not self._done.is_set() and self._hear(level):
            self._done.set()

    async def wait(self) -> None:
        """Wait until a measurement was what the watcher waits for."""
        await self._done.wait()


class PoolBoard:
    """Measures while anybody watches, as often as the most eager one wants; `keep` stores each measurement."""

    def __init__(self, hub: Hub, keep: Callable[[Measured], Awaitable[None]] | None = None) -> None:
        self._hub = hub
        self._keep = keep
        self._seats: set[Seat] = set()
        self._loop: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._sites: dict[int, str] = {}
        self._sites_until = 0.0
        self._measuring: asyncio.Task[Measured] | None = None
        self.measurements = 0

    @asynccontextmanager
    async def watch(self, ref: PoolRef, every: float, hear: Callable[[Level | None], bool]) -> AsyncIterator[Seat]:
        """Hear every measurement of a pool for as long as the block lasts; `hear` says when it has heard enough."""
        seat = Seat(ref, every, hear)
        self._seats.add(seat)
        self._changed.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._measure_again_and_again())
        try:
            yield seat
        finally:
            self._seats.discard(seat)

    async def measure(self) -> Measured:
        """Measure now, together with whoever else wants it in this moment. Raises a HubError."""
        # One that is under way may have been begun before what the caller knows of: the next one is waited for.
        under_way = self._measuring
        if under_way is not None and not under_way.done():
            await asyncio.wait([under_way])
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure())
        return await asyncio.shield(self._measuring)

    async def _measure(self) -> Measured:
        now = time.monotonic()
        if now >= self._sites_until:
            self._sites = {site.id: site.name async for site in sites.sites(self._hub)}
            self._sites_until = now + SITES_FOR
        at = datetime.now(UTC)
        measured: dict[PoolRef, Level] = {}
        async for pool in storagepools.storagepools(self._hub):
            site = self._sites.get(pool.site)
            if site is None:
                self._sites_until = 0.0  # a site that is new
            elif pool.capacity > 0:
                ref = PoolRef(site=site, pool=pool.name, filesystem=pool.filesystem)
                measured[ref] = Level(at=at, used=pool.used_space, capacity=pool.capacity)
        self.measurements += 1
        if self._keep is not None:
            try:
                await self._keep(measured)
            except Exception:  # samples are for people; nothing is decided by them
                _log.exception("samples of the pools could not be kept")
        return measured

    async def _measure_again_and_again(self) -> None:
        misses = 0
        while self._seats:
            self._changed.clear()
            try:
                measured = await self.measure()
                misses = 0
            except Exception as error:  # whatever it is, nobody else would go on measuring
                misses += 1
                if not isinstance(error, HubError):
                    _log.exception("measuring the pools failed")
                for seat in self._seats:
                    seat.trouble = str(error) or type(error).__name__
            else:
                by_name = _by_name(measured)
                for seat in list(self._seats):
                    whole = seat.ref.filesystem is not None
                    seat.tell(measured.get(seat.ref) if whole else by_name.get((seat.ref.site, seat.ref.pool)))
            rest = min((seat.every for seat in self._seats), default=FASTEST)
            rest = max(rest, FASTEST) if not misses else min(max(rest, FASTEST) * 2**misses, SLOWEST)
            await self._rest(rest)

    async def _rest(self, seconds: float) -> None:
        """Rest, less for a newcomer who is more eager: everybody hears soon after sitting down."""
        until = time.monotonic() + seconds
        while self._seats and (left := until - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
            self._changed.clear()
            until = min(until, time.monotonic() + 1.0)  # those who come within a second share the next one


def _by_name(measured: Measured) -> dict[tuple[str, str], Level | None]:
    found: dict[tuple[str, str], Level | None] = {}
    for ref, level in measured.items():
        name = (ref.site, ref.pool)
        found[name] = None if name in found else level
    return found
