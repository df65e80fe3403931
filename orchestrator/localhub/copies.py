"""The record of every copy in the target: of which file, under which name, its checksum, and who holds the data now."""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from os import stat_result

_COLUMNS = "id, ino, path, object, size, mtime_ns, atime_ns, sha256, state"
_AT_ONCE = 500
_ATTRIBUTES = 4096
"""Bytes of the block that a file system may spend on the attributes of a file."""


class Residence(StrEnum):
    """Where a file's data are: only here, here and in the target, or only in the target."""

    RESIDENT = "resident"
    PREMIGRATED = "premigrated"
    MIGRATED = "migrated"


@dataclass(frozen=True)
class Copy:
    """One copy: `path` and `object` are relative to the file system and to the target."""

    id: int | None
    ino: int
    path: bytes
    object: bytes
    size: int
    mtime_ns: int
    atime_ns: int
    sha256: bytes
    state: Residence

    def describes(self, seen: stat_result) -> bool:
        """Say whether the file still is as it was when it was copied."""
        return seen.st_size == self.size and seen.st_mtime_ns == self.mtime_ns


def copy_of(database: sqlite3.Connection, ino: int) -> Copy | None:
    """Find the copy of the file with this inode number."""
    row = database.execute(f"SELECT {_COLUMNS} FROM copies WHERE ino = ?", (ino,)).fetchone()
    return _copy(row) if row else None


def copies_of(database: sqlite3.Connection, inos: Iterable[int]) -> dict[int, Copy]:
    """Find the copies of many files at once."""
    wanted, found = list(inos), {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        for row in database.execute(f"SELECT {_COLUMNS} FROM copies WHERE ino IN ({marks})", part):
            found[int(row["ino"])] = _copy(row)
    return found


def owner_of(database: sqlite3.Connection, object_name: bytes) -> Copy | None:
    """Find the copy that lies under this name in the target."""
    row = database.execute(f"SELECT {_COLUMNS} FROM copies WHERE object = ?", (object_name,)).fetchone()
    return _copy(row) if row else None


def save_copy(database: sqlite3.Connection, copy: Copy) -> int:
    """Write the record of a file's copy, in place of the one before; give its number."""
    row = database.execute(
        "INSERT INTO copies (ino, path, object, size, mtime_ns, atime_ns, sha256, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (ino) DO UPDATE SET path = excluded.path, object = excluded.object, size = excluded.size,"
        " mtime_ns = excluded.mtime_ns, atime_ns = excluded.atime_ns, sha256 = excluded.sha256, state = excluded.state"
        " RETURNING id",
        (copy.ino, copy.path, copy.object, copy.size, copy.mtime_ns, copy.atime_ns, copy.sha256, copy.state.value),
    ).fetchone()
    return int(row[0])


def set_residence(database: sqlite3.Connection, number: int, state: Residence) -> None:
    """Note where the data are now."""
    database.execute("UPDATE copies SET state = ? WHERE id = ?", (state.value, number))


def forget_copy(database: sqlite3.Connection, number: int) -> None:
    """Drop the record of a copy."""
    database.execute("DELETE FROM copies WHERE id = ?", (number,))


def shown_residence(seen: stat_result, copy: Copy | None, marked: Callable[[], bool]) -> Residence:
    """Say from one stat result and the record where the data are, as a listing shows it.

    A migrated file that has blocks was rewritten, or is a new one with the number of one that was deleted. In a small
    file one block may be that of the attributes alone; `marked` then tells whether it carries the mark of a stub.
    """
    if copy is None:
        return Residence.RESIDENT
    if copy.state is Residence.MIGRATED and seen.st_size > 0:
        if seen.st_blocks * 512 < seen.st_size:
            return Residence.MIGRATED
        small = seen.st_blocks * 512 <= _ATTRIBUTES and copy.describes(seen)
        return Residence.MIGRATED if small and marked() else Residence.RESIDENT
    if copy.describes(seen):
        return copy.state
    return Residence.MIGRATED if seen.st_blocks == 0 and seen.st_size == copy.size > 0 else Residence.RESIDENT


def _copy(row: sqlite3.Row) -> Copy:
    return Copy(
        id=row["id"],
        ino=row["ino"],
        path=row["path"],
        object=row["object"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        atime_ns=row["atime_ns"],
        sha256=row["sha256"],
        state=Residence(row["state"]),
    )
