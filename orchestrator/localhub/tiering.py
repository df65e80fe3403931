"""The order of tiering: prepare a group of files, say durably what is about to happen, do it, record how it went."""

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.localhub import blocks
from orchestrator.localhub.delete import Delete
from orchestrator.localhub.faults import Faults
from orchestrator.localhub.migrate import Migrate
from orchestrator.localhub.names import BadPath
from orchestrator.localhub.outcome import Ended, Outcome, PathRow, PathState
from orchestrator.localhub.recall import Recall
from orchestrator.localhub.work import Ground, IsFolder, Visits, Work

log = logging.getLogger(__name__)
_GROUP_FILES = 64
_GROUP_BYTES = 64 << 20
_GROUP_SECONDS = 0.25
_ERRORS = {
    errno.ENOENT: ("no_such_file", "no such file"),
    errno.ENOTDIR: ("no_such_file", "no such file"),
    errno.ENAMETOOLONG: ("no_such_file", "no file can have a name as long as this"),
    errno.EACCES: ("permission_denied", "permission denied"),
    errno.EPERM: ("permission_denied", "operation not permitted"),
    errno.EROFS: ("permission_denied", "the file system is read only"),
    errno.ELOOP: ("not_a_file", "the path leads through a symbolic link"),
    errno.ENOSPC: ("no_space", "no space left"),
    errno.EDQUOT: ("no_space", "the quota is used up"),
}


class Steps(Protocol):
    """What a workflow does with one file, step by step."""

    kind: str

    def prepare(self, work: Work, visits: Visits) -> None:
        """Take the file into hand, and do all that leaves it as it is."""
        ...

    def verify(self, work: Work, visits: Visits) -> None:
        """Look at what was copied, which is synced by now."""
        ...

    def publish(self, work: Work, visits: Visits) -> bytes | None:
        """Give a new copy its name."""
        ...

    def declare(self, work: Work, database: sqlite3.Connection) -> None:
        """Record what is about to happen."""
        ...

    def act(self, work: Work, visits: Visits) -> Outcome:
        """Do it."""
        ...

    def confirm(self, work: Work) -> None:
        """Look at what was done, which is synced by now."""
        ...

    def drop(self, work: Work, visits: Visits) -> None:
        """Undo what `prepare` wrote and nobody used."""
        ...

    def finish(self, work: Work, outcome: Outcome, database: sqlite3.Connection) -> None:
        """Record how it went."""
        ...


@dataclass(frozen=True)
class Order:
    """Some paths of one job and what to do with them."""

    workflow: str
    rows: list[PathRow]
    abort_missing: bool
    go_on: Callable[[], bool]
    record: Callable[[sqlite3.Connection, list[tuple[PathRow, Outcome]]], None]
    discover: Callable[[PathRow, Visits], None]


class Tiering:
    """Runs orders in the calling thread."""

    def __init__(self, ground: Ground, faults: Faults) -> None:
        self._ground = ground
        self._faults = faults
        self._steps: dict[str, Steps] = {
            "migrate": Migrate(ground, keep=False),
            "premigrate": Migrate(ground, keep=True),
            "recall": Recall(ground),
            "delete": Delete(ground),
        }

    def run(self, order: Order) -> None:
        """Bring every path of an order to its end, as long as it may go on; the others stay pending."""
        steps = self._steps[order.workflow]
        with Visits(self._ground) as visits:
            for group in self._groups(order, steps, visits):
                try:
                    self._settle(order, steps, group, visits)
                finally:
                    for work in group:
                        steps.drop(work, visits)
                        work.close()
                        self._ground.claims.release(work.claims)

    def _groups(self, order: Order, steps: Steps, visits: Visits) -> Iterable[list[Work]]:
        group: list[Work] = []
        size, began = 0, time.monotonic()
        for row in order.rows:
            if not order.go_on():
                break
            work = Work(row)
            group.append(work)
            self._prepare(order, steps, work, visits)
            size += work.seen.st_size if work.seen else 0
            full = len(group) >= _GROUP_FILES or size >= _GROUP_BYTES or time.monotonic() - began >= _GROUP_SECONDS
            if full or self._ground.throttle.active:
                yield group
                group, size, began = [], 0, time.monotonic()
        if group:
            yield group

    def _prepare(self, order: Order, steps: Steps, work: Work, visits: Visits) -> None:
        self._ground.throttle.file(self._faults.file_delay(order.workflow, work.row.path))
        fault = self._faults.path_failure(order.workflow, work.row.path)
        if fault is not None:
            work.outcome = fault
            return
        try:
            steps.prepare(work, visits)
        except IsFolder:
            self._attempt(work, order, lambda: order.discover(work.row, visits))
            work.outcome = work.outcome or Outcome(PathState.DISCOVERED)
        except (Ended, OSError, BadPath) as error:
            work.outcome = _outcome(error, order)

    def _settle(self, order: Order, steps: Steps, group: list[Work], visits: Visits) -> None:
        self._faults.crash_point(order.workflow, "copied")
        self._sync(order, _open_ones(group))
        names = set()
        for work in _open_ones(group):
            self._attempt(work, order, lambda work=work: steps.verify(work, visits))  # type: ignore[misc]
        for work in _open_ones(group):
            self._attempt(work, order, lambda work=work: names.add(steps.publish(work, visits)))  # type: ignore[misc]
        self._ground.target.sync(visits.target, {name for name in names if name is not None})
        self._faults.crash_point(order.workflow, "published")
        if steps.kind != "copy":
            self._declare(steps, _open_ones(group))
        self._faults.crash_point(order.workflow, "declared")
        acted = _open_ones(group)
        for work in acted:
            self._attempt(work, order, lambda work=work: _act(steps, work, visits))  # type: ignore[misc]
            self._faults.crash_point(order.workflow, "acted")
        self._sync(order, acted)
        for work in acted:
            if work.outcome is not None and work.outcome.state is PathState.PROCESSED:
                self._attempt(work, order, lambda work=work: steps.confirm(work))  # type: ignore[misc]
        self._faults.crash_point(order.workflow, "done")
        self._finish(order, steps, group, acted)
        self._faults.crash_point(order.workflow, "recorded")

    def _declare(self, steps: Steps, group: list[Work]) -> None:
        if not group:
            return
        with self._ground.store.write() as database:
            for work in group:
                steps.declare(work, database)
            database.executemany(
                "INSERT OR REPLACE INTO intents (row, kind, path, ino, removable) VALUES (?, ?, ?, ?, ?)",
                [(w.row.id, steps.kind, w.relative, w.stat.st_ino, w.stat.st_nlink == 1) for w in group],
            )

    def _finish(self, order: Order, steps: Steps, group: list[Work], acted: list[Work]) -> None:
        with self._ground.store.write() as database:
            for work in acted:
                if steps.kind == "copy":
                    steps.declare(work, database)
                assert work.outcome is not None
                steps.finish(work, work.outcome, database)
            database.executemany("DELETE FROM intents WHERE row = ?", [(work.row.id,) for work in acted])
            order.record(database, [(work.row, work.outcome) for work in group if work.outcome is not None])

    def _sync(self, order: Order, group: list[Work]) -> None:
        """Make what was written durable, the whole group in few commits of the file system."""
        unsynced = [work for work in group if work.unsynced >= 0]
        for work in unsynced:
            blocks.begin_to_write(work.unsynced)
        for work in unsynced:
            self._attempt(work, order, lambda work=work: os.fsync(work.unsynced))  # type: ignore[misc]
            work.unsynced = -1

    def _attempt(self, work: Work, order: Order, step: Callable[[], object]) -> None:
        try:
            step()
        except (Ended, OSError, BadPath) as error:
            work.outcome = _outcome(error, order)


def _act(steps: Steps, work: Work, visits: Visits) -> None:
    work.outcome = steps.act(work, visits)


def _open_ones(group: list[Work]) -> list[Work]:
    return [work for work in group if work.outcome is None]


def _outcome(error: Ended | OSError | BadPath, order: Order) -> Outcome:
    if isinstance(error, Ended):
        return error.outcome
    if isinstance(error, BadPath):
        return Outcome(PathState.FAILED, "no_such_file", str(error))
    code, message = _ERRORS.get(error.errno or 0, ("io_error", os.strerror(error.errno or errno.EIO)))
    if code == "no_such_file" and order.abort_missing:
        return Outcome(PathState.ABORTED, code, message)
    return Outcome(PathState.FAILED, code, message)
