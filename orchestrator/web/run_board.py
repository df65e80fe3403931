"""Where open runs stand, for everybody who looks: one look a run at a time, however many watch it."""

import asyncio
import time
from collections import OrderedDict
from typing import Final

from temporalio.service import RPCError

from orchestrator.engine import Engine
from orchestrator.reporting.standing import Standing, Standings
from orchestrator.runs import RunError

FRESH_FOR: Final = 0.9
WITHIN: Final = 15.0
_MOST: Final = 50


class RunBoard:
    """Looks at runs; what it has read of one is kept while somebody watches."""

    def __init__(self) -> None:
        self._looks: OrderedDict[str, _Look] = OrderedDict()

    async def look(self, engine: Engine, run: str) -> Standing | None:
        """Say where an open run stands; None when nobody can tell now."""
        found = self._looks.get(run)
        if found is None or found.engine is not engine:
            found = self._looks[run] = _Look(engine, run)
        self._looks.move_to_end(run)
        while len(self._looks) > _MOST:
            self._looks.popitem(last=False)[1].close()
        return await found.now()

    def close(self) -> None:
        """Let go of what was read."""
        while self._looks:
            self._looks.popitem()[1].close()


class _Look:
    """One run under look."""

    def __init__(self, engine: Engine, run: str) -> None:
        self.engine = engine
        self._run = run
        self._lock = asyncio.Lock()
        self._standings: Standings | None = None
        self._at = float("-inf")
        self._last: Standing | None = None

    async def now(self) -> Standing | None:
        async with self._lock:
            if time.monotonic() - self._at > FRESH_FOR:
                self._last = await self._asked()
                self._at = time.monotonic()
            return self._last

    async def _asked(self) -> Standing | None:
        try:
            async with asyncio.timeout(WITHIN):
                if self._standings is None:
                    self._standings = await asyncio.to_thread(
                        Standings, self.engine.client, self.engine.settings, self._run
                    )
                return await self._standings.look()
        except (RPCError, RunError, TimeoutError):
            return None

    def close(self) -> None:
        if self._standings is not None:
            self._standings.close()
