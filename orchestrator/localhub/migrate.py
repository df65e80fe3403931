"""Migrate and premigrate: copy a file to the target, and free its blocks once the copy is verified and recorded."""

import os
import sqlite3
import time
from dataclasses import replace

from orchestrator.localhub import blocks
from orchestrator.localhub.bytestream import checksum
from orchestrator.localhub.copies import Copy, Residence, forget_copy, save_copy, set_residence
from orchestrator.localhub.outcome import Outcome, PathState, failed, skipped
from orchestrator.localhub.work import Ground, Visits, Work, take

_CLOCK_TICK = 0.05


class Migrate:
    """The steps of `migrate`; with `keep` those of `premigrate`, which leaves the blocks where they are."""

    def __init__(self, ground: Ground, *, keep: bool) -> None:
        self._ground = ground
        self._keep = keep
        self.kind = "copy" if keep else "free"

    def prepare(self, work: Work, visits: Visits) -> None:
        """Take the file and write a copy of it into the target, unless an equal one is there.

        A record is found by inode number, and its size and times say nothing certain: whoever rewrites a file may set
        its time back, and a new file may get the number of one that was deleted. Only the bytes say it.
        """
        database = self._ground.store.read()
        residence = take(work, self._ground, visits, database, os.O_RDONLY if self._keep else os.O_RDWR)
        if residence is Residence.MIGRATED and work.stat.st_size > 0:
            raise skipped("already_migrated", "the data are in the target already")
        work.began = time.time()
        if residence is not Residence.RESIDENT and self._has_copy(work, visits):
            if self._keep or residence is Residence.MIGRATED:
                raise skipped(f"already_{residence.value}", "an equal copy is in the target already")
            return
        if not self._ground.pools.has_room("target", work.stat.st_size):
            raise failed("no_space", "the target has no room for the copy")
        work.draft = self._ground.target.draft(visits.target, work.descriptor)
        work.unsynced = work.draft.descriptor
        self._ground.pools.changed("target", os.fstat(work.draft.descriptor).st_blocks * 512)

    def verify(self, work: Work, visits: Visits) -> None:
        """Read the new copy back, and see that the file did not change since its bytes were read."""
        draft = work.draft
        size, sha256 = (draft.size, draft.sha256) if draft is not None else (work.record.size, work.record.sha256)
        if time.time() - work.stat.st_ctime < _CLOCK_TICK:
            time.sleep(
                _CLOCK_TICK
            )  # writes within one tick of the clock leave the times alone: let it pass, look again
        try:
            fresh = work.began - work.stat.st_ctime < _CLOCK_TICK
            unchanged = size == work.stat.st_size and _same(os.fstat(work.descriptor), work.stat)
            if not unchanged or (fresh and checksum(work.descriptor) != sha256):
                raise failed("changed", "the file changed while it was being copied")
            if draft is not None:
                self._ground.target.verify(draft)
        except BaseException:
            self.drop(work, visits)
            raise

    def publish(self, work: Work, visits: Visits) -> bytes | None:
        """Give the new copy its name; give that name for the caller to sync."""
        if work.draft is None:
            return None
        draft, before, ino, path = work.draft, work.copy, work.stat.st_ino, work.relative
        free_name = path if self._ground.claims.take([path], work.claims) else None
        name, owner = self._ground.target.publish(visits.target, draft, free_name, ino, self._ground.store.read())
        work.draft = None
        if owner is not None and owner.ino != ino:
            work.displaced = owner
        if before is not None and before.object != name:
            self._ground.pools.changed("target", -self._ground.target.remove(visits.target, before.object))
        work.copy = Copy(
            id=None,
            ino=ino,
            path=path,
            object=name,
            size=draft.size,
            mtime_ns=work.stat.st_mtime_ns,
            atime_ns=work.stat.st_atime_ns,
            sha256=draft.sha256,
            state=Residence.PREMIGRATED,
        )
        return name

    def declare(self, work: Work, database: sqlite3.Connection) -> None:
        """Record the copy."""
        if work.displaced is not None and work.displaced.id is not None:
            forget_copy(database, work.displaced.id)
        atime, path = work.stat.st_atime_ns, work.relative
        copy = replace(work.record, atime_ns=atime, path=path, state=Residence.PREMIGRATED)
        work.copy = replace(copy, id=save_copy(database, copy))

    def act(self, work: Work, visits: Visits) -> Outcome:
        """Free the blocks, unless the file is no longer what was copied or somebody else has it open."""
        copy, descriptor = work.record, work.descriptor
        if self._keep:
            return Outcome(PathState.PROCESSED, bytes=copy.size)
        try:
            blocks.take_lease(descriptor, required=True)
        except blocks.FileBusy as error:
            raise skipped("busy", str(error)) from error
        now = os.fstat(descriptor)
        # Nobody can set a ctime back; it also changes with a name or an owner, and then the bytes have to speak.
        touched = now.st_ctime_ns != work.stat.st_ctime_ns and checksum(descriptor) != copy.sha256
        if touched or not _same(now, work.stat) or not copy.describes(work.stat):
            raise failed("changed", "the file changed after it was copied")
        free_blocks(descriptor, copy)
        self._ground.pools.changed("primary", (os.fstat(descriptor).st_blocks - work.stat.st_blocks) * 512)
        return Outcome(PathState.PROCESSED, bytes=copy.size)

    def confirm(self, work: Work) -> None:
        """Freed blocks need no second look."""

    def finish(self, work: Work, outcome: Outcome, database: sqlite3.Connection) -> None:
        """Record where the data are now."""
        if outcome.state is PathState.PROCESSED and not self._keep and work.record.id is not None:
            set_residence(database, work.record.id, Residence.MIGRATED)

    def _has_copy(self, work: Work, visits: Visits) -> bool:
        """Tell by the bytes of both whether the copy that the record names is one of this very file."""
        if work.stat.st_size > 0 and checksum(work.descriptor) != work.record.sha256:
            return False
        return self._ground.target.holds(visits.target, work.record)

    def drop(self, work: Work, visits: Visits) -> None:
        """Discard a copy that was written and came to nothing."""
        if work.draft is not None:
            self._ground.pools.changed("target", -os.fstat(work.draft.descriptor).st_blocks * 512)
            self._ground.target.discard(visits.target, work.draft)
            work.draft = None


def free_blocks(descriptor: int, copy: Copy) -> None:
    """Turn a file into a stub that shows its size and times."""
    blocks.mark(descriptor)
    blocks.free(descriptor, copy.size)
    blocks.mark(descriptor)  # once more: on a full disk there may have been no room for the mark before
    os.utime(descriptor, ns=(copy.atime_ns, copy.mtime_ns))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (other.st_ino, other.st_size, other.st_mtime_ns)
