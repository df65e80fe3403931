"""Which files are in hand now: one file is never worked on by two jobs at once."""

import threading
from collections.abc import Iterable

Key = int | bytes


class Claims:
    """Inode numbers and names of copies that somebody holds."""

    def __init__(self) -> None:
        self._held: set[Key] = set()
        self._lock = threading.Lock()

    def take(self, keys: Iterable[Key], mine: set[Key]) -> bool:
        """Add keys to those that are mine, all or none; say whether that went well."""
        wanted = set(keys) - mine
        with self._lock:
            if wanted & self._held:
                return False
            self._held |= wanted
        mine |= wanted
        return True

    def release(self, mine: set[Key]) -> None:
        """Give the keys back."""
        with self._lock:
            self._held -= mine
        mine.clear()
