"""A view that is kept for a moment: many readers share one look, and a slow look makes nobody wait twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Fresh(Generic[T]):
    """The last answer of a question; asked anew when it is older than `fresh` seconds, at most once at a time.

    Up to `stale` seconds the last answer is given while the new one is on its way; an older one is waited for. Errors
    go to whoever waits and are not kept.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, fresh: float, stale: float) -> None:
        self._ask = ask
        self._fresh = fresh
        self._stale = stale
        self._asked_at = float("-inf")
        self._last: list[T] = []
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Give the answer; raises what the question raises where no answer is young enough."""
        age = time.monotonic() - self._asked_at
        if self._last and age <= self._fresh:
            return self._last[0]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._again())
            self._asking.add_done_callback(_heard)
        if self._last and age <= self._stale:
            return self._last[0]
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """Ask anew at the next chance: something was changed."""
        self._asked_at = float("-inf")
        self._asking = None

    async def close(self) -> None:
        """End a question that is under way."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _again(self) -> T:
        began, task = time.monotonic(), asyncio.current_task()
        answer = await self._ask()
        if self._asking is task:  # else it was forgotten meanwhile
            self._last, self._asked_at = [answer], began
        return answer


def _heard(task: "asyncio.Task[T]") -> None:
    """Take note of an error that nobody waited for."""
    if not task.cancelled():
        task.exception()
