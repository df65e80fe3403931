"""Answers that cost much are made one at a time, and kept for whoever asks next."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any


class Kept:
    """Some answers by their keys, the latest used ones; `good_for` seconds, or for as long as there is room."""

    def __init__(self, *, most: int, good_for: float = float("inf")) -> None:
        self._most = most
        self._good_for = good_for
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._making = asyncio.Lock()

    async def get(self, key: str, make: Callable[[], Awaitable[Any]]) -> Any:
        """Give the answer that is kept, or make it; an error is not kept."""
        async with self._making:
            found = self._kept.get(key)
            if found is None or time.monotonic() - found[0] > self._good_for:
                found = (time.monotonic(), await make())
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return found[1]
