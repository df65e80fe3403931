"""The storage pools: real directories with a capacity, their used space counted from allocated blocks."""

import threading
import time
from dataclasses import dataclass

from orchestrator.localhub.tree import Tree

PRIMARY = "primary"
TARGET = "target"
_FRESH_FOR = 2.0
_COST_SHARE = 20


@dataclass(frozen=True)
class PoolUse:
    """One pool as measured; sizes are bytes."""

    number: int
    key: str
    name: str
    capacity: int
    used: int
    is_default: bool

    @property
    def utilisation(self) -> float:
        """Used space in percent of the capacity."""
        return 100 * self.used / self.capacity if self.capacity else 100.0


class _Count:
    """The used space of one tree: walked now and then, and kept up to date by every file that is moved in between."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._lock = threading.Lock()
        self._walking = threading.Lock()
        self._used = 0
        self._moved = 0
        self._walked_at = float("-inf")
        self._cost = 0.0

    def changed(self, by: int) -> None:
        with self._lock:
            self._used += by
            self._moved += 1

    def used(self) -> int:
        if time.monotonic() - self._walked_at > max(_FRESH_FOR, _COST_SHARE * self._cost):
            self.walk()
        return max(self._used, 0)

    def walk(self) -> None:
        with self._walking:
            moved, began = self._moved, time.monotonic()
            used = _allocated(self._tree)
            with self._lock:
                # A count that overlapped with moves is kept only for want of a better one, and soon taken again.
                if moved == self._moved or self._walked_at == float("-inf"):
                    self._used = used
                self._walked_at = time.monotonic()
                self._cost = self._walked_at - began

    def quick(self) -> int:
        return self._used if self._walked_at > float("-inf") else self.used()


class Pools:
    """The primary pool over the file system's directory, and the nearline pool over the target folder."""

    def __init__(self, files: Tree, target: Tree, capacity: int, target_capacity: int) -> None:
        self._counts = {PRIMARY: _Count(files), TARGET: _Count(target)}
        self._shapes = {PRIMARY: (1, "sas1", capacity), TARGET: (2, "nearline", target_capacity)}

    def measure(self) -> list[PoolUse]:
        """Give every pool, counted anew when the last count is old."""
        return [self._use(key, count.used()) for key, count in self._counts.items()]

    def recount(self) -> None:
        """Count everything now."""
        for count in self._counts.values():
            count.walk()

    def changed(self, key: str, by: int) -> None:
        """Add to the used space of a pool, or take away."""
        self._counts[key].changed(by)

    def has_room(self, key: str, size: int) -> bool:
        """Say whether a pool can take some more bytes."""
        return self._counts[key].quick() + size <= self._shapes[key][2]

    def _use(self, key: str, used: int) -> PoolUse:
        number, name, capacity = self._shapes[key]
        return PoolUse(number, key, name, capacity, used, key == PRIMARY)


def _allocated(tree: Tree) -> int:
    total, linked = 0, set()
    with tree.visit() as visit:
        for _, seen in visit.files_below(b""):
            if seen.st_nlink > 1:
                if seen.st_ino in linked:
                    continue
                linked.add(seen.st_ino)
            total += seen.st_blocks * 512
    return total
