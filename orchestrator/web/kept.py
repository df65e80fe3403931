"""Answers that cost something are made once for all who ask at the same time, and kept for whoever asks next."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Some answers by their keys, the latest used ones; good for so many seconds, made so many at once."""

    def __init__(self, *, most: int, good_for: float = float("inf"), at_once: int = 1) -> None:
        self._most = most
        self._good_for = good_for
        self._gate = asyncio.Semaphore(at_once)
        self._kept: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._making: dict[str, asyncio.Lock] = {}

    async def get(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """Give the answer that is kept, or make it; an error is not kept."""
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                found = self._kept.get(key)
                if found is None or time.monotonic() - found[0] > self._good_for:
                    async with self._gate:
                        answer = await make()
                    found = (time.monotonic(), answer)
                self._kept[key] = found
                self._kept.move_to_end(key)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
                return found[1]
        finally:
            if not lock.locked():
                self._making.pop(key, None)
