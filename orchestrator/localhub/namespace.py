"""The namespace as clients see it: what lies at a path and below it, with where its data are."""

import os
import sqlite3
import stat
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.localhub import blocks
from orchestrator.localhub.copies import Copy, copies_of, shown_residence
from orchestrator.localhub.names import BadPath, Mount
from orchestrator.localhub.store import Store
from orchestrator.localhub.tree import Tree, Visit

_KEPT_LISTS = 64
_CLOCK_TICK = 0.05


class NotThere(Exception):
    """No file or folder has this path."""


@dataclass(frozen=True)
class Entry:
    """One file or folder: its absolute path, what the file system says, and what the records say."""

    path: bytes
    seen: os.stat_result
    copy: Copy | None
    residence: str | None
    """Where a file's data are; nothing for what is not a file."""

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]

    @property
    def type(self) -> str:
        """What it is, in one word."""
        mode = self.seen.st_mode
        if stat.S_ISREG(mode):
            return "file"
        if stat.S_ISDIR(mode):
            return "directory"
        return "symlink" if stat.S_ISLNK(mode) else "other"


class Namespace:
    """Reads the mounted directory; safe for threads."""

    def __init__(self, store: Store, mount: Mount, files: Tree) -> None:
        self._store = store
        self._mount = mount
        self._files = files
        self._lists: OrderedDict[bytes, tuple[tuple[int, int, int], list[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def entry(self, path: bytes) -> Entry:
        """Give what lies at a path; raise NotThere."""
        relative = self._relative(path)
        with self._files.visit() as visit:
            try:
                seen, (folder, _) = visit.stat(relative), visit.place(relative)
            except OSError as error:
                raise NotThere from error
            return self._entries(folder, [(self._mount.virtual(relative), seen)])[0]

    def names(self, path: bytes, kind: str | None = None) -> list[bytes]:
        """List the names in a folder in the order of their bytes, of one type only if wanted; raise NotThere."""
        relative = self._relative(path)
        with self._files.visit() as visit:
            try:
                names = self._names(visit, relative)
                if kind is None:
                    return names
                return [entry.name for entry in self._look(visit, relative, names) if entry.type == kind]
            except OSError as error:
                raise NotThere from error

    def children(self, path: bytes, names: list[bytes]) -> list[Entry]:
        """Give the entries of some names in a folder; what vanished meanwhile is left out; raise NotThere."""
        relative = self._relative(path)
        with self._files.visit() as visit:
            try:
                return self._look(visit, relative, names)
            except OSError as error:
                raise NotThere from error

    def _look(self, visit: Visit, relative: bytes, names: list[bytes]) -> list[Entry]:
        folder, prefix = visit.folder(relative), self._mount.virtual(relative) + b"/"
        found = []
        for name in names:
            try:
                found.append((prefix + name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
            except FileNotFoundError:
                continue
        return self._entries(folder, found)

    def _entries(self, folder: int, found: list[tuple[bytes, os.stat_result]]) -> list[Entry]:
        database: sqlite3.Connection = self._store.read()
        copies = copies_of(database, [seen.st_ino for _, seen in found if stat.S_ISREG(seen.st_mode)])
        return [entry_of(folder, path, seen, copies.get(seen.st_ino)) for path, seen in found]

    def _names(self, visit: Visit, relative: bytes) -> list[bytes]:
        seen = os.fstat(visit.folder(relative))
        version = (seen.st_ino, seen.st_mtime_ns, seen.st_nlink)
        with self._lock:
            known = self._lists.get(relative)
        if known is not None and known[0] == version:
            return known[1]
        names = visit.names(relative)
        if time.time() - seen.st_mtime < _CLOCK_TICK:
            return names  # a folder that changed a moment ago may change again in no time: do not keep its names
        with self._lock:
            self._lists[relative] = (version, names)
            while len(self._lists) > _KEPT_LISTS:
                self._lists.popitem(last=False)
        return names

    def _relative(self, path: bytes) -> bytes:
        try:
            return self._mount.relative(path)
        except BadPath as error:
            raise NotThere from error


def entry_of(folder: int, path: bytes, seen: os.stat_result, copy: Copy | None) -> Entry:
    """Give the entry of what lies at a path, whose folder is open."""
    if not stat.S_ISREG(seen.st_mode):
        return Entry(path, seen, copy, None)
    name = path.rpartition(b"/")[2]
    return Entry(path, seen, copy, shown_residence(seen, copy, lambda: blocks.marked_at(folder, name)).value)


@lru_cache(maxsize=1024)
def owner_name(uid: int) -> str:
    """Give a user's name, or the number when nobody has it."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str:
    """Give a group's name, or the number when none has it."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
