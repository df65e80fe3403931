"""One poller for all jobs that a worker watches: it asks the Hub about many at once, seldom about old ones."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from activities.errors import HubError, Retryable
from activities.hub import jobs
from activities.hub.client import Hub
from activities.hub.clock import CLOCK_SLACK
from activities.hub.jobs import JobState

_log = logging.getLogger(__name__)

FASTEST = 0.1
SLOWEST = 30.0
AGE_SHARE = 0.05
"""A job is looked at again after this share of its age: the end is noticed at most 5% late."""
TOGETHER = 1.5
"""Jobs that are due within this factor of the next look are asked about in the same request."""
LEAST_REST = 2.0
"""A look that took long is followed by a rest this many times as long, so that a slow Hub is not asked more."""


class Watched:
    """What is known about one job; `wait` returns when there is news from the Hub."""

    def __init__(self, site: str, job: int, created_us: int) -> None:
        self.site = site
        self.job = job
        self.created_us = created_us
        self.state: JobState | None = None
        self.progress: float | None = None
        self.trouble: str | None = None
        self.due = time.monotonic() + FASTEST / 2
        self._news = asyncio.Event()

    async def wait(self, longest: float) -> bool:
        """Wait for the next answer about this job, at most `longest` seconds; tell whether one came."""
        try:
            await asyncio.wait_for(self._news.wait(), longest)
        except TimeoutError:
            return False
        self._news.clear()
        return True

    def tell(self, state: JobState) -> None:
        """Take over what the Hub says."""
        self.trouble = None
        self.state = state
        self._news.set()

    def rest(self) -> float:
        """Seconds until this job is worth another look."""
        age = time.time() - self.created_us / 1_000_000
        return min(max(FASTEST, age * AGE_SHARE), SLOWEST)


class JobPoller:
    """Follows any number of jobs with few requests; the loop runs only while something is watched."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._watched: dict[tuple[str, int], Watched] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._misses = 0

    @asynccontextmanager
    async def follow(self, site: str, job: int, created_us: int) -> AsyncIterator[Watched]:
        """Watch a job for as long as the block lasts."""
        watched = Watched(site, job, created_us)
        self._watched[site, job] = watched
        self._changed.set()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._poll())
        try:
            yield watched
        finally:
            # A second attempt in this worker may have taken the place over.
            if self._watched.get((site, job)) is watched:
                del self._watched[site, job]

    def hurry(self, site: str, ids: tuple[int, ...]) -> None:
        """Look at these jobs at once: something was done to them."""
        for job in ids:
            if (site, job) in self._watched:
                self._watched[site, job].due = 0.0
        self._changed.set()

    async def _poll(self) -> None:
        while self._watched:
            self._changed.clear()
            now = time.monotonic()
            due = [one for one in self._watched.values() if one.due <= now]
            if due:
                await self._look(due)
            else:
                first = min(one.due for one in self._watched.values())
                try:
                    await asyncio.wait_for(self._changed.wait(), max(0.0, first - now))
                except TimeoutError:
                    continue

    async def _look(self, due: list[Watched]) -> None:
        began = time.monotonic()
        soon = began + max(FASTEST, min(one.rest() for one in due)) * (TOGETHER - 1)
        asked = [one for one in self._watched.values() if one.due <= soon]
        try:
            for site in sorted({one.site for one in asked}):
                await self._ask(site, [one for one in asked if one.site == site])
            self._misses = 0
        except Exception as error:  # whatever it is, nobody else would go on asking
            self._misses += 1
            if not isinstance(error, HubError):
                _log.exception("asking the Hub about jobs failed")
            for one in asked:
                one.trouble = str(error) or type(error).__name__
            wait = error.retry_after if isinstance(error, Retryable) else None
            await asyncio.sleep(wait or min(2.0 ** min(self._misses, 5) / 4, SLOWEST))
        ended = time.monotonic()
        rest = (ended - began) * LEAST_REST
        for one in asked:
            one.due = ended + max(one.rest(), rest)

    async def _ask(self, site: str, watched: list[Watched]) -> None:
        ids = [one.job for one in watched]
        oldest = datetime.fromtimestamp(min(one.created_us for one in watched) / 1_000_000, UTC)
        # A job that the list does not show for its time is asked for singly.
        states = await jobs.states(self._hub, ids, site, oldest - CLOCK_SLACK)
        for one in watched:
            if one.job in states:
                one.tell(states[one.job])
