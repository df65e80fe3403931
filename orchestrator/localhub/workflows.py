"""The Hub's workflows and queues as they stand at the first start, and what may be changed about a workflow."""

import json
import sqlite3
from typing import Any

from orchestrator.localhub.store import Store

_LOCK_LEVELS = ["partial", "implicit", "none"]
_LOCK_LEVEL = {"name": "lock_level", "type": "string", "default": "implicit", "choices": _LOCK_LEVELS}
_DEFAULTS: tuple[tuple[str, str, list[dict[str, Any]]], ...] = (
    ("migrate", "Migrate", []),
    ("premigrate", "Premigrate", []),
    ("recall", "Recall", [_LOCK_LEVEL]),
    ("delete", "Delete", []),
)
CHANGEABLE = (
    "discovery",
    "discovery_options",
    "enabled",
    "fields",
    "filter_rules",
    "icon_classes",
    "label",
    "preferred_queue",
    "schedule_only",
    "visible",
)


class Workflows:
    """The table of workflows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.write() as database:
            for name, label, fields in _DEFAULTS:
                body = {
                    "label": label,
                    "enabled": True,
                    "schedule_only": False,
                    "external_only": False,
                    "visible": True,
                    "discovery": "recursive",
                    "discovery_options": {},
                    "fields": fields,
                    "filter_rules": [{"state": "all", "type": "all", "action": [{"name": f"dynamo.tasks.{name}"}]}],
                    "icon_classes": ["fa fa-cloud"],
                    "preferred_queue": None,
                }
                database.execute("INSERT OR IGNORE INTO workflows (name, body) VALUES (?, ?)", (name, json.dumps(body)))

    def all(self) -> list[dict[str, Any]]:
        """Give every workflow."""
        return [_workflow(row) for row in self._store.read().execute("SELECT * FROM workflows ORDER BY id")]

    def get(self, number: int) -> dict[str, Any] | None:
        """Give one workflow by its number."""
        row = self._store.read().execute("SELECT * FROM workflows WHERE id = ?", (number,)).fetchone()
        return _workflow(row) if row else None

    def named(self, name: str) -> dict[str, Any] | None:
        """Give one workflow by its name."""
        row = self._store.read().execute("SELECT * FROM workflows WHERE name = ?", (name,)).fetchone()
        return _workflow(row) if row else None

    def change(self, number: int, changes: dict[str, Any]) -> dict[str, Any] | None:
        """Change what may be changed, and leave the rest alone."""
        with self._store.write() as database:
            row = database.execute("SELECT * FROM workflows WHERE id = ?", (number,)).fetchone()
            if row is None:
                return None
            body = json.loads(row["body"])
            body |= {key: value for key, value in changes.items() if key in CHANGEABLE}
            database.execute("UPDATE workflows SET body = ? WHERE id = ?", (json.dumps(body), number))
        return self.get(number)


def _workflow(row: sqlite3.Row) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(row["body"])
    return {"id": row["id"], "name": row["name"]} | body
