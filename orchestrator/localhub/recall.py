"""Recall: bring a file's bytes back from the target, verified, before anything says that they are here."""

import os
import sqlite3
from dataclasses import replace

from orchestrator.localhub import blocks
from orchestrator.localhub.bytestream import checksum, copy_bytes
from orchestrator.localhub.copies import Copy, Residence, save_copy
from orchestrator.localhub.migrate import free_blocks
from orchestrator.localhub.outcome import Outcome, PathState, failed, skipped
from orchestrator.localhub.work import Ground, Visits, Work, take


class Recall:
    """The steps of `recall`; the copy stays, so a recalled file is premigrated."""

    kind = "recall"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def prepare(self, work: Work, visits: Visits) -> None:
        """Take the stub and see that its copy is there."""
        residence = take(work, self._ground, visits, self._ground.store.read(), os.O_RDWR)
        if residence is not Residence.MIGRATED:
            raise skipped("already_resident", "the data are here already")
        if not self._ground.pools.has_room("primary", work.stat.st_size):
            raise failed("no_space", "the file system has no room for the data")
        os.close(self._ground.target.open(visits.target, work.record.object))

    def verify(self, work: Work, visits: Visits) -> None:
        """Nothing was copied yet."""

    def drop(self, work: Work, visits: Visits) -> None:
        """There is nothing to drop."""

    def publish(self, work: Work, visits: Visits) -> bytes | None:
        """Nothing gets a name."""
        return None

    def declare(self, work: Work, database: sqlite3.Connection) -> None:
        """Note times that somebody gave the stub meanwhile, so that the file keeps them."""
        work.copy = replace(
            work.record,
            path=work.relative,
            mtime_ns=work.stat.st_mtime_ns,
            atime_ns=work.stat.st_atime_ns,
            state=Residence.MIGRATED,
        )
        save_copy(database, work.copy)

    def act(self, work: Work, visits: Visits) -> Outcome:
        """Write the bytes into the stub; on any doubt it is a stub again."""
        copy = work.record
        source = self._ground.target.open(visits.target, copy.object)
        blocks.take_lease(work.descriptor, required=False)
        if os.fstat(work.descriptor).st_size != copy.size or not blocks.hollow(work.descriptor):
            os.close(source)
            raise failed("changed_stub", "the file was written to just now; its bytes and the copy are both kept")
        try:
            size, digest = copy_bytes(source, work.descriptor, self._ground.throttle.moved)
            if size != copy.size or digest != copy.sha256:
                raise failed("checksum", "the copy in the target is not what was migrated")
        except BaseException:
            empty_again(work.descriptor, copy)
            raise
        finally:
            os.close(source)
        work.unsynced = work.descriptor
        return Outcome(PathState.PROCESSED, bytes=copy.size)

    def confirm(self, work: Work) -> None:
        """Read the synced bytes back, and only then take the mark of a stub away."""
        descriptor, copy = work.descriptor, work.record
        if checksum(descriptor, from_disk=True) != copy.sha256:
            empty_again(descriptor, copy)
            raise failed("checksum", "the bytes that were written here cannot be read back")
        blocks.unmark(descriptor)
        os.utime(descriptor, ns=(copy.atime_ns, copy.mtime_ns))
        self._ground.pools.changed("primary", (os.fstat(descriptor).st_blocks - work.stat.st_blocks) * 512)

    def finish(self, work: Work, outcome: Outcome, database: sqlite3.Connection) -> None:
        """Record that the data are here."""
        if outcome.state is PathState.PROCESSED:
            save_copy(database, replace(work.record, state=Residence.PREMIGRATED))


def empty_again(descriptor: int, copy: Copy) -> None:
    """Make a half-filled file the stub that it was."""
    os.ftruncate(descriptor, copy.size)
    free_blocks(descriptor, copy)
