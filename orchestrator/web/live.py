"""Live connections (server-sent events): bounded in number, alive by heartbeats, ended at shutdown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from orchestrator.web.problems import Problem

MOST: Final = 100
"""Live connections of one server at a time."""
MOST_OF_ONE: Final = 10
"""And of one person."""
EVERY: Final = 1.0
"""Seconds between two looks."""
LONGEST: Final = 3600.0
"""Seconds after which a connection ends and the browser comes again: a token may have been revoked meanwhile."""
RECONNECT_MS: Final = 3000


class Live:
    """Counts the live connections and ends them all."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._of: dict[str, int] = {}

    @property
    def open(self) -> int:
        """How many there are."""
        return sum(self._of.values())

    def close(self) -> None:
        """End every connection at its next step; may be called from a signal handler of the loop."""
        self._closing.set()

    @asynccontextmanager
    async def connection(self, person: str) -> AsyncIterator[None]:
        """Be one of the connections for as long as the block lasts. Raises Problem when there are too many."""
        self.check(person)
        self._of[person] = self._of.get(person, 0) + 1
        try:
            yield
        finally:
            self._of[person] -= 1
            if not self._of[person]:
                del self._of[person]

    def check(self, person: str) -> None:
        """Raise Problem when there is no room for another connection of a person."""
        if self.open >= MOST or self._of.get(person, 0) >= MOST_OF_ONE:
            text = f"Too many live connections: {MOST_OF_ONE} of a person and {MOST} in all are possible."
            raise Problem(429, "too-many-connections", text, headers={"Retry-After": "10"})

    async def steps(self, every: float = EVERY) -> AsyncIterator[None]:
        """Step again and again until the server ends, or the connection has lasted long enough."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + LONGEST
        while not self._closing.is_set() and loop.time() < ends:
            yield
            try:
                async with asyncio.timeout(every):
                    await self._closing.wait()
            except TimeoutError:
                continue
