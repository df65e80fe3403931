"""Jobs as they are kept: made, found, counted, and brought to their end."""

import json
import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.localhub.clock import now_us
from orchestrator.localhub.outcome import ENDED, Outcome, PathRow, PathState
from orchestrator.localhub.store import Store

FINAL = ("SUCCESS", "FAILURE", "ERROR", "SKIPPED", "CANCELLED", "REVOKED", "PARTIAL")
_COUNTS = tuple(state.value for state in ENDED)


@dataclass(frozen=True)
class NewJob:
    """What a client asks for: `paths` are absolute names as bytes."""

    workflow: str
    site: str
    queue: str
    paths: list[bytes]
    discovery: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    owner: str | None = None
    clientkey: int | None = None
    schedule: int | None = None
    stuck: bool = False


class Jobs:
    """The table of jobs with their tasks and paths."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, new: NewJob) -> int:
        """Write a job with its task and paths; give its number. It is durable when this returns."""
        body = {"fields": new.fields, "include": new.include, "exclude": new.exclude}
        with self._store.write() as database:
            columns = {
                "workflow": new.workflow,
                "site": new.site,
                "queue": new.queue,
                "discovery": new.discovery,
                "state": "PENDING",
                "created": now_us(),
                "body": json.dumps(body),
                "owner": new.owner,
                "clientkey": new.clientkey,
                "schedule": new.schedule,
                "stuck": int(new.stuck),
            }
            marks = ", ".join("?" * len(columns))
            sql = f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks}) RETURNING id"
            job = database.execute(sql, list(columns.values())).fetchone()[0]
            add_task(database, job, new.workflow)
            add_paths(database, job, new.paths, given=True)
        return int(job)

    def extend(self, job: int, paths: list[bytes]) -> bool:
        """Add paths to a job; False when there is no such job."""
        with self._store.write() as database:
            row = database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is None:
                return False
            add_paths(database, job, paths, given=True)
            if row["state"] in FINAL:
                reopen(database, job)
        return True

    def get(self, job: int) -> sqlite3.Row | None:
        """Give a job's row."""
        row: sqlite3.Row | None = self._store.read().execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        return row

    def unfinished(self) -> list[sqlite3.Row]:
        """Give all jobs that are not final, oldest first."""
        marks = ",".join("?" * len(FINAL))
        return (
            self._store.read().execute(f"SELECT * FROM jobs WHERE state NOT IN ({marks}) ORDER BY id", FINAL).fetchall()
        )

    def pending(self, job: int, after: int, limit: int) -> list[PathRow]:
        """Give paths of a job that are still to be done."""
        rows = self._store.read().execute(
            "SELECT id, path FROM paths WHERE job = ? AND state = 'pending' AND id > ? ORDER BY id LIMIT ?",
            (job, after, limit),
        )
        return [PathRow(row["id"], job, row["path"]) for row in rows]

    def set_state(self, job: int, state: str) -> None:
        """Note what the job does now."""
        with self._store.write() as database:
            set_state(database, job, state)

    def finish(self, job: int, *, cancelled: bool) -> str:
        """End a job: what is left pending is cancelled; give its final state."""
        with self._store.write() as database:
            if cancelled:
                changed = database.execute(
                    "UPDATE paths SET state = 'cancelled', code = 'cancelled', message = 'the job was cancelled'"
                    " WHERE job = ? AND state = 'pending'",
                    (job,),
                ).rowcount
                database.execute("UPDATE jobs SET cancelled = cancelled + ? WHERE id = ?", (changed, job))
            row = database.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is None:
                return "CANCELLED"
            state = "CANCELLED" if cancelled else _final_state(row)
            set_state(database, job, state)
        return state

    def delete(self, job: int) -> bool:
        """Remove a job and all that belongs to it; False when there is no such job."""
        with self._store.write() as database:
            if database.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount == 0:
                return False
            database.execute("DELETE FROM history WHERE path IN (SELECT id FROM paths WHERE job = ?)", (job,))
            for table in ("tasks", "paths"):
                database.execute(f"DELETE FROM {table} WHERE job = ?", (job,))
        return True

    def resubmit(self, job: int) -> bool:
        """Make every path that was not processed pending again; False when the job is not finished or not there."""
        with self._store.write() as database:
            row = database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is None or row["state"] not in FINAL:
                return False
            again = "job = ? AND state IN ('failed', 'aborted', 'cancelled')"
            database.execute(
                "INSERT INTO history (path, state, code, message)"
                f" SELECT id, state, code, message FROM paths WHERE {again}",
                (job,),
            )
            database.execute(f"UPDATE paths SET state = 'pending', code = NULL, message = NULL WHERE {again}", (job,))
            database.execute("UPDATE jobs SET failed = 0, aborted = 0, cancelled = 0, stuck = 0 WHERE id = ?", (job,))
            reopen(database, job)
        return True

    def record(self, database: sqlite3.Connection, ended: list[tuple[PathRow, Outcome]]) -> None:
        """Write how paths ended, inside the caller's transaction; what was recorded or deleted before stays."""
        for row, outcome in ended:
            record_outcome(database, row.id, outcome)

    def forget_old(self, before_us: int) -> int:
        """Delete jobs that completed before a time; give how many."""
        marks = ",".join("?" * len(FINAL))
        rows = (
            self._store.read()
            .execute(f"SELECT id FROM jobs WHERE state IN ({marks}) AND completed < ?", (*FINAL, before_us))
            .fetchall()
        )
        return sum(self.delete(int(row["id"])) for row in rows)


def body_of(job: sqlite3.Row) -> dict[str, Any]:
    """Give the fields and globs that a job was made with."""
    body: dict[str, Any] = json.loads(job["body"])
    return body


def add_task(database: sqlite3.Connection, job: int, workflow: str) -> int:
    """Add the task that does a job's work."""
    values = (job, str(uuid.uuid4()), f"dynamo.tasks.{workflow}")
    row = database.execute(
        "INSERT INTO tasks (job, task_id, tasktype, state) VALUES (?, ?, ?, 'PENDING') RETURNING id", values
    ).fetchone()
    return int(row[0])


def add_paths(database: sqlite3.Connection, job: int, paths: Iterable[bytes], *, given: bool) -> None:
    """Add paths to a job, each once."""
    task = database.execute("SELECT max(id) FROM tasks WHERE job = ?", (job,)).fetchone()[0]
    if task is None:
        return  # the job was deleted meanwhile
    before = database.total_changes
    database.executemany(
        "INSERT OR IGNORE INTO paths (job, task, path, input) VALUES (?, ?, ?, ?)",
        ((job, task, path, int(given)) for path in paths),
    )
    database.execute("UPDATE jobs SET total = total + ? WHERE id = ?", (database.total_changes - before, job))


def record_outcome(database: sqlite3.Connection, row: int, outcome: Outcome) -> None:
    """Write how one path ended, once."""
    done = int(outcome.state is PathState.PROCESSED)
    changed = database.execute(
        "UPDATE paths SET state = ?, code = ?, message = ?, bytes = ?, processed_count = processed_count + ?"
        " WHERE id = ? AND state = 'pending' RETURNING job, path",
        (outcome.state.value, outcome.code, outcome.message, outcome.bytes, done, row),
    ).fetchone()
    if changed is None:
        return
    job, path = changed
    if outcome.fault is not None:
        database.execute(
            "INSERT INTO fault_hits (rule, path, hits) VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET hits = hits + 1",
            (outcome.fault, path),
        )
    if outcome.state is PathState.DISCOVERED:
        database.execute("UPDATE jobs SET total = total - 1 WHERE id = ?", (job,))
        return
    assert outcome.state.value in _COUNTS
    column = outcome.state.value
    database.execute(f"UPDATE jobs SET {column} = {column} + 1, bytes = bytes + ? WHERE id = ?", (outcome.bytes, job))
    if done:
        database.execute(
            "INSERT INTO processed (workflow, path, count) SELECT workflow, ?, 1 FROM jobs WHERE id = ?"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            (path, job),
        )


def set_state(database: sqlite3.Connection, job: int, state: str) -> None:
    """Note a job's state in the job and its task, with the times that go with it."""
    now = now_us()
    ended = now if state in FINAL else None
    for table, key in (("jobs", "id"), ("tasks", "job")):
        database.execute(
            f"UPDATE {table} SET state = ?, completed = ?,"
            f" started = CASE WHEN ? = 'PENDING' THEN started ELSE coalesce(started, ?) END WHERE {key} = ?",
            (state, ended, state, now, job),
        )


def reopen(database: sqlite3.Connection, job: int) -> None:
    """Make a finished job one that waits for its turn."""
    set_state(database, job, "PENDING")


def _final_state(row: sqlite3.Row) -> str:
    bad = row["failed"] + row["aborted"]
    if row["cancelled"]:
        return "CANCELLED"
    if bad:
        return "PARTIAL" if row["processed"] + row["skipped"] else "FAILURE"
    return "SUCCESS" if row["processed"] or not row["skipped"] else "SKIPPED"
