"""Delete: remove a file, then its copy."""

import os
import sqlite3

from orchestrator.localhub.copies import forget_copy
from orchestrator.localhub.outcome import Ended, Outcome, PathState, skipped
from orchestrator.localhub.work import Ground, Visits, Work, take


class Delete:
    """The steps of `delete`; the file goes first, so that a stub never outlives its data."""

    kind = "delete"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def prepare(self, work: Work, visits: Visits) -> None:
        """Take the file; what it holds does not matter any more."""
        try:
            take(work, self._ground, visits, self._ground.store.read(), os.O_RDONLY)
        except Ended as error:
            if error.outcome.code not in ("changed_stub", "unknown_stub"):
                raise

    def verify(self, work: Work, visits: Visits) -> None:
        """Nothing was copied."""

    def drop(self, work: Work, visits: Visits) -> None:
        """There is nothing to drop."""

    def publish(self, work: Work, visits: Visits) -> bytes | None:
        """Nothing gets a name."""
        return None

    def declare(self, work: Work, database: sqlite3.Connection) -> None:
        """The intent alone says what is about to happen."""

    def act(self, work: Work, visits: Visits) -> Outcome:
        """Remove the name durably, then the copy."""
        folder, name = visits.files.place(work.relative)
        if os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino != work.stat.st_ino:
            raise skipped("busy", "the file was replaced by another just now")
        os.unlink(name, dir_fd=folder)
        os.fsync(folder)
        if os.fstat(work.descriptor).st_nlink == 0:
            self._ground.pools.changed("primary", -work.stat.st_blocks * 512)
            if work.copy is not None:
                self._ground.pools.changed("target", -self._ground.target.remove(visits.target, work.copy.object))
        return Outcome(PathState.PROCESSED, bytes=work.stat.st_size)

    def confirm(self, work: Work) -> None:
        """What is gone is gone."""

    def finish(self, work: Work, outcome: Outcome, database: sqlite3.Connection) -> None:
        """Drop the record of the copy."""
        gone = outcome.state is PathState.PROCESSED and os.fstat(work.descriptor).st_nlink == 0
        if gone and work.copy is not None and work.copy.id is not None:
            forget_copy(database, work.copy.id)
