"""Reads a folder of policies again and again: a file that did not change is not read anew."""

from pathlib import Path
from threading import Lock

from orchestrator.catalog import LoadedPolicy, PolicyError, read_policy
from orchestrator.standings import Folder, read_folder

_Mark = tuple[int, int, int]


class FolderReader:
    """One folder; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._known: dict[Path, tuple[_Mark, LoadedPolicy | PolicyError]] = {}

    def read(self) -> Folder:
        """Give the folder as it is now. Raises PolicyError when it cannot be listed."""
        with self._lock:
            seen: dict[Path, tuple[_Mark, LoadedPolicy | PolicyError]] = {}

            def read(file: Path) -> LoadedPolicy:
                mark = _mark(file)
                known = self._known.get(file)
                if mark is None or known is None or known[0] != mark:
                    known = (mark or (0, 0, 0), _read(file))
                if mark is not None:
                    seen[file] = known
                if isinstance(known[1], PolicyError):
                    raise known[1]
                return known[1]

            folder = read_folder(self._folder, read)
            self._known = seen
            return folder


def _read(file: Path) -> LoadedPolicy | PolicyError:
    try:
        return read_policy(file)
    except PolicyError as error:
        return error


def _mark(file: Path) -> _Mark | None:
    """Tell whether a file is the same; None for one that is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
