"""Runs jobs: each queue has its threads, and its jobs take turns, a handful of paths at a time."""

import fnmatch
import logging
import sqlite3
import threading
from collections import deque
from dataclasses import dataclass, field

from orchestrator.localhub.bytestream import Throttle
from orchestrator.localhub.jobs import Jobs, add_paths, body_of, record_outcome
from orchestrator.localhub.names import text_of
from orchestrator.localhub.outcome import Outcome, PathRow, PathState
from orchestrator.localhub.recovery import Recovery
from orchestrator.localhub.store import Store
from orchestrator.localhub.tiering import Order, Tiering
from orchestrator.localhub.work import Ground, Visits

log = logging.getLogger(__name__)
_CHUNK = 64
_FOUND_AT_ONCE = 2000


@dataclass(eq=False)
class _Active:
    """A job that is not final, as its queue's threads share it."""

    id: int
    workflow: str
    queue: str
    body: dict[str, object]
    wish: str = "run"
    stuck: bool = False
    cursor: int = 0
    begun: bool = False
    in_hand: set[int] = field(default_factory=set)
    busy: int = 0


class Runner:
    """The threads that do the work of jobs."""

    def __init__(self, store: Store, jobs: Jobs, tiering: Tiering, ground: Ground, queues: dict[str, int]) -> None:
        self._store = store
        self._jobs = jobs
        self._tiering = tiering
        self._ground = ground
        self._throttle: Throttle = ground.throttle
        self._active: dict[int, _Active] = {}
        self._turns: dict[str, deque[_Active]] = {name: deque() for name in queues}
        self._wake = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(name,), name=f"{name}-{number}", daemon=True)
            for name, count in queues.items()
            for number in range(count)
        ]

    def start(self) -> None:
        """Resolve what a crash left, then go on with every job that is not final."""
        recovery = Recovery(self._ground)
        happened = recovery.resolve()
        with self._store.write() as database:
            for row, outcome in happened:
                record_outcome(database, row, outcome)
            recovery.forget(database)
        for job in self._jobs.unfinished():
            self.add(job)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread finish the files in its hands, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._throttle.stopping.set()
        for thread in self._threads:
            thread.join()

    def add(self, job: sqlite3.Row) -> None:
        """Take up a job: a new one, one from before a restart, or one that was finished and has paths again."""
        wish = {"PAUSED": "pause", "PAUSING": "pause", "CANCELLING": "cancel"}.get(job["state"], "run")
        with self._wake:
            active = self._active.get(job["id"])
            if active is None:
                active = _Active(job["id"], job["workflow"], job["queue"], body_of(job), wish, bool(job["stuck"]))
                self._active[active.id] = active
            self._enqueue(active)

    def pause(self, job: int) -> None:
        """Stop after the files in hand."""
        self._steer(job, "pause", "PAUSING", from_wishes=("run",))

    def resume(self, job: int) -> None:
        """Go on with a paused job."""
        self._steer(job, "run", "RESUMING", from_wishes=("pause",))

    def cancel(self, job: int) -> None:
        """Stop after the files in hand, and cancel the rest."""
        self._steer(job, "cancel", "CANCELLING", from_wishes=("run", "pause"))

    def drop(self, job: int) -> None:
        """Forget a job that is being deleted, once its files are out of hand."""
        with self._wake:
            active = self._active.pop(job, None)
            if active is None:
                return
            active.wish = "drop"
            self._wake.wait_for(lambda: active.busy == 0, timeout=30)

    def unstick(self) -> None:
        """Let stuck jobs go on."""
        with self._store.write() as database:
            database.execute("UPDATE jobs SET stuck = 0")
        with self._wake:
            for active in self._active.values():
                active.stuck = False
                self._enqueue(active)

    def _steer(self, job: int, wish: str, word: str, from_wishes: tuple[str, ...]) -> None:
        with self._wake:
            active = self._active.get(job)
            if active is None or active.wish not in from_wishes:
                return
            self._jobs.set_state(job, word)
            active.wish = wish
            self._enqueue(active)

    def _enqueue(self, active: _Active) -> None:
        turns = self._turns[active.queue]
        if active not in turns:
            turns.append(active)
        self._wake.notify_all()

    def _work(self, queue: str) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._turns[queue])
                if self._stopping:
                    return
                active = self._turns[queue].popleft()
                rows = self._take(active)
            if rows:
                self._run(active, rows)

    def _take(self, active: _Active) -> list[PathRow]:
        """Take some paths of a job in hand, or move the job to the state that it waits for; needs the lock."""
        if active.wish != "run":
            if active.busy == 0:
                self._come_to_rest(active)
            return []
        if active.stuck:
            if not active.begun:
                self._begin(active)
            return []
        rows = self._next(active)
        if not rows:
            if active.busy == 0:
                self._come_to_rest(active)
            return []
        if not active.begun:
            self._begin(active)
        active.cursor = rows[-1].id
        active.in_hand |= {row.id for row in rows}
        active.busy += 1
        self._turns[active.queue].append(active)
        self._wake.notify()
        return rows

    def _next(self, active: _Active) -> list[PathRow]:
        rows = self._jobs.pending(active.id, active.cursor, _CHUNK)
        if not rows and active.cursor and active.busy == 0:  # what a pause left behind the cursor
            active.cursor = 0
            rows = self._jobs.pending(active.id, 0, _CHUNK)
        return [row for row in rows if row.id not in active.in_hand]

    def _begin(self, active: _Active) -> None:
        active.begun = True
        self._jobs.set_state(active.id, "STARTED")

    def _come_to_rest(self, active: _Active) -> None:
        if active.wish == "drop":
            return
        if active.wish == "pause":
            active.begun = False
            self._jobs.set_state(active.id, "PAUSED")
            return
        self._active.pop(active.id, None)
        state = self._jobs.finish(active.id, cancelled=active.wish == "cancel")
        log.info("job %d ended: %s", active.id, state)

    def _run(self, active: _Active, rows: list[PathRow]) -> None:
        order = Order(
            workflow=active.workflow,
            rows=rows,
            abort_missing=bool(_fields(active).get("abort_missing")),
            go_on=lambda: active.wish == "run" and not self._stopping,
            record=self._jobs.record,
            discover=lambda row, visits: self._discover(active, row, visits),
        )
        try:
            self._tiering.run(order)
        except Exception:  # a fault of ours must end in an outcome of these paths, and not end the queue's thread
            log.exception("job %d: an error of the local Hub", active.id)
            failure = Outcome(PathState.FAILED, "hub_error", "an error of the Hub; see its log")
            with self._store.write() as database:
                self._jobs.record(database, [(row, failure) for row in rows])
        finally:
            with self._wake:
                active.busy -= 1
                active.in_hand -= {row.id for row in rows}
                self._enqueue(active)

    def _discover(self, active: _Active, folder: PathRow, visits: Visits) -> None:
        include, exclude = active.body.get("include"), active.body.get("exclude")
        found: list[bytes] = []
        for relative, _ in visits.files.files_below(self._ground.mount.relative(folder.path)):
            path = self._ground.mount.virtual(relative)
            if _wanted(path, include, exclude):
                found.append(path)
            if len(found) >= _FOUND_AT_ONCE:
                self._add(active.id, found)
                found = []
        self._add(active.id, found)

    def _add(self, job: int, paths: list[bytes]) -> None:
        with self._store.write() as database:
            add_paths(database, job, paths, given=False)


def _fields(active: _Active) -> dict[str, object]:
    fields = active.body.get("fields")
    return fields if isinstance(fields, dict) else {}


def _wanted(path: bytes, include: object, exclude: object) -> bool:
    text = text_of(path)
    if isinstance(include, list) and include and not any(fnmatch.fnmatchcase(text, str(glob)) for glob in include):
        return False
    return not (isinstance(exclude, list) and any(fnmatch.fnmatchcase(text, str(glob)) for glob in exclude))
