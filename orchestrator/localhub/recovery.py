"""After a crash: every file that was half-way is brought to one side or the other, and no side loses data."""

import logging
import os
import sqlite3

from orchestrator.localhub import blocks
from orchestrator.localhub.bytestream import checksum, nothing_but
from orchestrator.localhub.copies import Copy, Residence, copy_of, forget_copy, set_residence
from orchestrator.localhub.migrate import free_blocks
from orchestrator.localhub.outcome import Ended, Outcome, PathState
from orchestrator.localhub.recall import empty_again
from orchestrator.localhub.work import Ground, Visits

log = logging.getLogger(__name__)


class Recovery:
    """Resolves the intents that a crash left, before any job goes on."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def resolve(self) -> list[tuple[int, Outcome]]:
        """Resolve every intent; give the outcome of those that had happened, by row. The others are still to be done.

        The caller records the outcomes and then calls `forget`; resolving twice does no harm.
        """
        self._ground.target.clear_drafts()
        happened = []
        with Visits(self._ground) as visits:
            for intent in self._ground.store.read().execute("SELECT * FROM intents ORDER BY row").fetchall():
                size = self._resolve(intent, visits)
                if size is not None:
                    happened.append((int(intent["row"]), Outcome(PathState.PROCESSED, bytes=size)))
        return happened

    @staticmethod
    def forget(database: sqlite3.Connection) -> None:
        """Drop all intents, inside the caller's transaction."""
        database.execute("DELETE FROM intents")

    def _resolve(self, intent: sqlite3.Row, visits: Visits) -> int | None:
        copy = copy_of(self._ground.store.read(), intent["ino"])
        try:
            descriptor = visits.files.open(intent["path"], os.O_RDWR)
        except OSError as error:
            log.warning(
                "%s of a file was interrupted, and the file cannot be opened now: %s", intent["kind"], error.strerror
            )
            return self._deleted(copy, intent, visits) if intent["kind"] == "delete" else None
        try:
            if os.fstat(descriptor).st_ino != intent["ino"]:
                return self._deleted(copy, intent, visits) if intent["kind"] == "delete" else None
            if intent["kind"] == "delete" or copy is None:
                return None
            return self._half_way(intent["kind"], descriptor, copy, visits)
        finally:
            os.close(descriptor)

    def _half_way(self, kind: str, descriptor: int, copy: Copy, visits: Visits) -> int | None:
        try:
            source = self._ground.target.open(visits.target, copy.object)
        except Ended:
            return None
        try:
            return (_freed if kind == "free" else _filled)(self, descriptor, source, copy)
        finally:
            os.close(source)

    def settle(self, copy: Copy, state: Residence) -> None:
        """Record where the data of a file turned out to be."""
        assert copy.id is not None
        with self._ground.store.write() as database:
            set_residence(database, copy.id, state)

    def _deleted(self, copy: Copy | None, intent: sqlite3.Row, visits: Visits) -> int | None:
        try:
            if visits.files.stat(intent["path"]).st_ino == intent["ino"]:
                return None
        except FileNotFoundError:
            pass  # just as it was meant
        except OSError:
            return None
        if copy is not None and intent["removable"]:
            self._ground.target.remove(visits.target, copy.object)
            with self._ground.store.write() as database:
                forget_copy(database, copy.id or 0)
        return copy.size if copy else 0


def _freed(recovery: Recovery, descriptor: int, source: int, copy: Copy) -> int | None:
    seen = os.fstat(descriptor)
    if copy.size == 0 or (seen.st_size and not blocks.has_hole(descriptor, seen.st_size)):
        blocks.unmark(descriptor)
        return None
    if seen.st_size not in (0, copy.size) or not _only_copied_data(descriptor, source, copy.size):
        recovery.settle(copy, Residence.MIGRATED)  # somebody wrote to it since: from now on a changed stub
        return None
    os.ftruncate(descriptor, copy.size)
    free_blocks(descriptor, copy)
    recovery.settle(copy, Residence.MIGRATED)
    return copy.size


def _filled(recovery: Recovery, descriptor: int, source: int, copy: Copy) -> int | None:
    if os.fstat(descriptor).st_size == copy.size and checksum(descriptor) == copy.sha256:
        os.fsync(descriptor)
        blocks.unmark(descriptor)
        os.utime(descriptor, ns=(copy.atime_ns, copy.mtime_ns))
        recovery.settle(copy, Residence.PREMIGRATED)
        return copy.size
    if os.fstat(descriptor).st_size == copy.size and _only_copied_data(descriptor, source, copy.size):
        empty_again(descriptor, copy)
    return None


def _only_copied_data(descriptor: int, source: int, size: int) -> bool:
    ranges = list(blocks.data_ranges(descriptor, size))
    return all(nothing_but(descriptor, source, start, end) for start, end in ranges)
