"""Hub policies and hub schedules: kept as given, with samples of each; none of them starts by itself."""

import json
import sqlite3
from typing import Any

from orchestrator.localhub.clock import now_us
from orchestrator.localhub.samples import sample_policies, sample_schedules
from orchestrator.localhub.store import Store

POLICY = "policy"
SCHEDULE = "schedule"
SCHEDULE_WORKFLOW = "schedule_workflow"
_CRON = {"minute": "0", "hour": "2", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}


class Documents:
    """A table of JSON objects by kind, some with a parent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_samples(self, site: str, filesystem: str, mountpoint: str) -> None:
        """Make the sample policies and schedules, once."""
        with self._store.write() as database:
            if database.execute("SELECT 1 FROM meta WHERE key = 'samples'").fetchone():
                return
            database.execute("INSERT INTO meta (key, value) VALUES ('samples', 'made')")
            schedule = _sample_schedule(site, mountpoint)
            number = _insert(database, SCHEDULE, None, schedule)
            _insert(database, SCHEDULE_WORKFLOW, number, _workflow(site))
            _insert(database, POLICY, None, _sample_policy(filesystem))
            for policy in sample_policies(filesystem):
                _insert(database, POLICY, None, policy)
            for schedule, workflows in sample_schedules(site, mountpoint):
                number = _insert(database, SCHEDULE, None, schedule)
                for workflow in workflows:
                    _insert(database, SCHEDULE_WORKFLOW, number, workflow)

    def all(self, kind: str, parent: int | None = None) -> list[dict[str, Any]]:
        """Give all documents of a kind."""
        sql = "SELECT * FROM documents WHERE kind = ? AND parent IS ? ORDER BY id"
        return [_document(row) for row in self._store.read().execute(sql, (kind, parent))]

    def get(self, kind: str, number: int, parent: int | None = None) -> dict[str, Any] | None:
        """Give one document."""
        sql = "SELECT * FROM documents WHERE kind = ? AND id = ? AND parent IS ?"
        row = self._store.read().execute(sql, (kind, number, parent)).fetchone()
        return _document(row) if row else None

    def make(self, kind: str, body: dict[str, Any], parent: int | None = None) -> int:
        """Keep a document; give its number."""
        with self._store.write() as database:
            return _insert(database, kind, parent, body)

    def change(self, number: int, body: dict[str, Any]) -> None:
        """Keep another form of a document."""
        with self._store.write() as database:
            database.execute("UPDATE documents SET body = ? WHERE id = ?", (json.dumps(body), number))

    def delete(self, kind: str, number: int) -> bool:
        """Remove a document with those below it; False when there is none."""
        with self._store.write() as database:
            gone = database.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, number)).rowcount > 0
            if gone:
                database.execute("DELETE FROM documents WHERE parent = ?", (number,))
        return gone


def blank_policy() -> dict[str, Any]:
    """Give a policy of which nothing was said."""
    return {
        "enabled": False,
        "policy_type": "migration",
        "filesystem": None,
        "site": 1,
        "spaces": [],
        "threads": 2,
        "order": {"id": 1, "by": "atime", "reverse": False},
        "schedule": {"id": 1, "time": "02:00", "timezone": "UTC", "first_occur": False, **_CRON},
        "triggers": [],
        "condition_groups": [],
        "created": now_us(),
    }


def blank_schedule(site: str) -> dict[str, Any]:
    """Give a schedule of which nothing was said."""
    return {
        "enabled": False,
        "discovery": "recursive",
        "discovery_options": {},
        "managed_paths": [],
        "site": site,
        "space": "projects",
        **_CRON,
    }


def _sample_schedule(site: str, mountpoint: str) -> dict[str, Any]:
    paths = [f"{mountpoint}/projects"]
    return blank_schedule(site) | {"name": "nightly migration (sample)", "managed_paths": paths}


def _sample_policy(filesystem: str) -> dict[str, Any]:
    trigger = {"id": 1, "pool_name": "sas1", "is_cloud": False, "max_utilisation": 100.0}
    trigger |= {"upper_threshold": 90.0, "lower_threshold": 80.0, "premigrate_threshold": 0.0}
    return blank_policy() | {"name": "keep sas1 below 90% (sample)", "filesystem": filesystem, "triggers": [trigger]}


def _workflow(site: str) -> dict[str, Any]:
    return {"workflow": "migrate", "queue": "default", "site": site, "fields": {}}


def _insert(database: sqlite3.Connection, kind: str, parent: int | None, body: dict[str, Any]) -> int:
    sql = "INSERT INTO documents (kind, parent, body) VALUES (?, ?, ?) RETURNING id"
    return int(database.execute(sql, (kind, parent, json.dumps(body))).fetchone()[0])


def _document(row: sqlite3.Row) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(row["body"])
    return {"id": row["id"]} | body
