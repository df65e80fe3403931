"""A directory tree reached by relative byte paths of any length, and never through a symbolic link."""

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OPEN = 48


class Tree:
    """One real directory; `visit()` gives short-lived access to what is below it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root

    def visit(self) -> "Visit":
        """Begin a visit: a few open folders, closed together at its end."""
        return Visit(self.root)


class Visit:
    """A context manager over a tree; not to be shared between threads."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every folder."""
        for descriptor in (*self._open.values(), self._root):
            os.close(descriptor)
        self._open.clear()

    def folder(self, relative: bytes, *, make: bool = False) -> int:
        """Give a descriptor of a folder, made durably with its parents when `make`; it stays good for a few calls."""
        if not relative:
            return self._root
        found = self._open.get(relative)
        if found is not None:
            self._open.move_to_end(relative)
            return found
        descriptor = self._walk(relative, make)
        self._open[relative] = descriptor
        while len(self._open) > _KEPT_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return descriptor

    def place(self, relative: bytes, *, make: bool = False) -> tuple[int, bytes]:
        """Give the folder's descriptor and the last name of a path."""
        parent, _, name = relative.rpartition(b"/")
        return self.folder(parent, make=make), name

    def open(self, relative: bytes, flags: int, mode: int = 0o600) -> int:
        """Open a file, without following a link and without waiting on a pipe."""
        folder, name = self.place(relative)
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        if not name:
            return os.dup(folder)
        return os.open(name, flags, mode, dir_fd=folder)

    def stat(self, relative: bytes) -> os.stat_result:
        """Stat what is there, a symbolic link as itself."""
        folder, name = self.place(relative)
        return os.stat(name, dir_fd=folder, follow_symlinks=False) if name else os.fstat(folder)

    def files_below(self, relative: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Walk all regular files below a folder, in the order of their names, with their stat results."""
        folders = [relative]
        while folders:
            here = folders.pop()
            prefix = here + b"/" if here else b""
            below = []
            for name, seen in self.entries(here):
                if stat.S_ISDIR(seen.st_mode):
                    below.append(prefix + name)
                elif stat.S_ISREG(seen.st_mode):
                    yield prefix + name, seen
            folders.extend(reversed(below))

    def entries(self, relative: bytes) -> list[tuple[bytes, os.stat_result]]:
        """List a folder by name; what vanishes meanwhile is left out."""
        found = []
        folder = self.folder(relative)
        for name in self.names(relative):
            try:
                found.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
            except FileNotFoundError:
                continue
        return found

    def names(self, relative: bytes) -> list[bytes]:
        """List the names in a folder, in the order of their bytes."""
        return sorted(os.fsencode(name) for name in os.listdir(self.folder(relative)))  # noqa: PTH208 - a descriptor

    def _walk(self, relative: bytes, make: bool) -> int:
        parts = relative.split(b"/")
        here = os.dup(self._root)
        try:
            for part in parts:
                below = _enter(here, part, make)
                os.close(here)
                here = below
        except OSError:
            os.close(here)
            raise
        return here


def _enter(folder: int, name: bytes, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        pass  # another thread made it first, and opening it decides
    return os.open(name, _FOLDER, dir_fd=folder)
