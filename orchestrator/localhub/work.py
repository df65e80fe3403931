"""One file in hand: opened, claimed, and judged by what its record and its blocks say."""

import os
import sqlite3
import stat
from dataclasses import dataclass, field
from types import TracebackType

from orchestrator.localhub import blocks
from orchestrator.localhub.bytestream import Throttle
from orchestrator.localhub.claims import Claims, Key
from orchestrator.localhub.copies import Copy, Residence, copy_of
from orchestrator.localhub.names import Mount
from orchestrator.localhub.outcome import Outcome, PathRow, failed, skipped
from orchestrator.localhub.pools import Pools
from orchestrator.localhub.store import Store
from orchestrator.localhub.target import Draft, Target
from orchestrator.localhub.tree import Tree, Visit


class IsFolder(Exception):
    """The path names a folder: its files are meant."""


@dataclass(frozen=True)
class Ground:
    """What every step of tiering stands on."""

    store: Store
    mount: Mount
    files: Tree
    target: Target
    pools: Pools
    claims: Claims
    throttle: Throttle


class Visits:
    """A visit to the files and one to the target, begun and ended together."""

    def __init__(self, ground: Ground) -> None:
        self.files: Visit = ground.files.visit()
        self.target: Visit = ground.target.tree.visit()

    def __enter__(self) -> "Visits":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.files.close()
        self.target.close()


@dataclass
class Work:
    """One path on its way; `seen` is how the file was when it was taken into hand."""

    row: PathRow
    relative: bytes = b""
    descriptor: int = -1
    seen: os.stat_result | None = None
    copy: Copy | None = None
    draft: Draft | None = None
    began: float = 0.0
    unsynced: int = -1
    displaced: Copy | None = None
    outcome: Outcome | None = None
    claims: set[Key] = field(default_factory=set)

    @property
    def stat(self) -> os.stat_result:
        """The stat result of a file that was taken into hand."""
        assert self.seen is not None
        return self.seen

    @property
    def record(self) -> Copy:
        """The record of a copy that is known to be there."""
        assert self.copy is not None
        return self.copy

    def close(self) -> None:
        """Close the file, which ends its lease."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def take(work: Work, ground: Ground, visits: Visits, database: sqlite3.Connection, flags: int) -> Residence:
    """Open and claim the file of a path and say where its data are; raise IsFolder, Ended or OSError."""
    work.relative = ground.mount.relative(work.row.path)
    seen = visits.files.stat(work.relative)
    if stat.S_ISDIR(seen.st_mode):
        raise IsFolder
    if not stat.S_ISREG(seen.st_mode):
        raise skipped("not_a_file", "the path is not a regular file")
    if not ground.claims.take([seen.st_ino], work.claims):
        raise skipped("busy", "another job works on the file")
    work.copy = copy_of(database, seen.st_ino)
    if work.copy is not None and not ground.claims.take([work.copy.object], work.claims):
        raise skipped("busy", "another job works on the file's copy")
    work.descriptor = _open(visits.files, work.relative, flags)
    work.seen = os.fstat(work.descriptor)
    if work.seen.st_ino != seen.st_ino:
        raise skipped("busy", "the file was replaced by another just now")
    return judge(work.descriptor, work.seen, work.copy)


def judge(descriptor: int, seen: os.stat_result, copy: Copy | None) -> Residence:
    """Say where a file's data are; end as failed where that cannot be said without risk to them."""
    empty = seen.st_size == 0
    if copy is None:
        if not empty and blocks.hollow(descriptor) and blocks.marked(descriptor):
            raise failed("unknown_stub", "the file is a stub, and no record says where its data are")
        return Residence.RESIDENT
    if seen.st_size == copy.size and not empty and blocks.hollow(descriptor):
        if blocks.marked(descriptor) is not False:
            return Residence.MIGRATED
        if copy.state is Residence.MIGRATED:
            raise failed("unknown_stub", "the file holds no data and no mark of a stub: it may be another file by now")
    if copy.state is Residence.MIGRATED and not empty and _still_a_stub(descriptor, seen):
        raise failed("changed_stub", "the file was written to while its data were away; both are kept")
    if copy.describes(seen):
        return copy.state if empty else Residence.PREMIGRATED
    return Residence.RESIDENT


def _still_a_stub(descriptor: int, seen: os.stat_result) -> bool:
    return blocks.marked(descriptor) is not False and blocks.has_hole(descriptor, seen.st_size)


def _open(visit: Visit, relative: bytes, flags: int) -> int:
    try:
        return visit.open(relative, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        return visit.open(relative, flags)
