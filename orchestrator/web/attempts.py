"""Failed logins are counted, by address and by the token that was tried, so that nobody goes on guessing for long."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

ALLOWED: Final = 10
"""So many failures are free; they come back one by one over `WINDOW`."""
WINDOW: Final = 60.0
REMEMBERED: Final = 10_000
"""Keys in memory; beyond them the one that was quiet longest is forgotten."""
GOOD_FOR: Final = 3600.0


class Attempts:
    """Who failed how often lately. A token that was good from an address just now is let through all the same.

    So a person behind a proxy is not locked out by a neighbour, and nobody locks a person out who only knows the id of
    their token; whoever guesses is not listened to.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._good: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str, identity: str | None, text: str) -> float:
        """Give the seconds until this login may be tried; 0 for now."""
        good = self._good.get(_mark(address, text))
        if good is not None and self._clock() - good < GOOD_FOR:
            return 0.0
        return max(self._wait(key) for key in _keys(address, identity))

    def failed(self, address: str, identity: str | None, text: str) -> None:
        """Count a login that failed."""
        self._good.pop(_mark(address, text), None)
        for key in _keys(address, identity):
            count, _ = self._level(key)
            self._failures[key] = (count + 1, self._clock())
            self._failures.move_to_end(key)
            _bound(self._failures)

    def succeeded(self, address: str, text: str) -> None:
        """Remember that this token was good from there."""
        mark = _mark(address, text)
        self._good[mark] = self._clock()
        self._good.move_to_end(mark)
        _bound(self._good)

    def _wait(self, key: str) -> float:
        count, _ = self._level(key)
        return max(0.0, count - (ALLOWED - 1)) * WINDOW / ALLOWED

    def _level(self, key: str) -> tuple[float, float]:
        """Give the failures that still count: a bucket that leaks."""
        count, at = self._failures.get(key, (0.0, 0.0))
        now = self._clock()
        return max(0.0, count - (now - at) * ALLOWED / WINDOW), now


def _keys(address: str, identity: str | None) -> list[str]:
    return [f"from {address}", *([] if identity is None else [f"as {identity}"])]


def _mark(address: str, text: str) -> str:
    return hashlib.sha256(f"{address} {text}".encode(errors="replace")).hexdigest()


def _bound(kept: "OrderedDict[str, tuple[float, float]] | OrderedDict[str, float]") -> None:
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
