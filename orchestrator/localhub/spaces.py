"""Spaces: every folder at the top of the file system is one, and a client may make more."""

import os
import sqlite3
import uuid
from pathlib import Path

from orchestrator.localhub.clock import now_us
from orchestrator.localhub.names import Mount
from orchestrator.localhub.store import Store


class Spaces:
    """The table of spaces, kept in step with the folders."""

    def __init__(self, store: Store, mount: Mount, filesystem: Path) -> None:
        self._store = store
        self._mount = mount
        self._root = os.fsencode(filesystem)
        self._notice_folders()

    def all(self) -> list[sqlite3.Row]:
        """Give every space whose folder is there."""
        self._notice_folders()
        return self._store.read().execute("SELECT * FROM spaces WHERE hidden = 0 ORDER BY id").fetchall()

    def get(self, number: int) -> sqlite3.Row | None:
        """Give one space."""
        row: sqlite3.Row | None = (
            self._store.read().execute("SELECT * FROM spaces WHERE hidden = 0 AND id = ?", (number,)).fetchone()
        )
        return row

    def make(self, name: str, folder: bytes, size: int | None) -> int:
        """Make a space and its folder; raise FileExistsError when the folder is a space already."""
        known = self._store.read().execute("SELECT id, hidden FROM spaces WHERE folder = ?", (folder,)).fetchone()
        if known is not None and not known["hidden"]:
            raise FileExistsError(folder)
        os.makedirs(os.path.join(self._root, folder), exist_ok=True)  # noqa: PTH103, PTH118 - a name of bytes
        self._add(folder, name)
        with self._store.write() as database:
            row = database.execute(
                "UPDATE spaces SET hidden = 0, name = ?, size = ? WHERE folder = ? RETURNING id", (name, size, folder)
            ).fetchone()
        return int(row["id"])

    def change(self, number: int, name: str | None, size: int | None) -> None:
        """Give a space another name or quota."""
        with self._store.write() as database:
            database.execute(
                "UPDATE spaces SET name = coalesce(?, name), size = coalesce(?, size) WHERE id = ?",
                (name, size, number),
            )

    def hide(self, number: int) -> None:
        """Take a space away; its files stay."""
        with self._store.write() as database:
            database.execute("UPDATE spaces SET hidden = 1 WHERE id = ?", (number,))

    def mountpoint(self, space: sqlite3.Row) -> bytes:
        """Give the absolute path of a space."""
        return self._mount.virtual(space["folder"])

    def _notice_folders(self) -> None:
        known = {row["folder"] for row in self._store.read().execute("SELECT folder FROM spaces")}
        with os.scandir(self._root) as entries:
            new = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and e.name not in known)
        for name in new:
            self._add(name, name.decode("utf-8", "backslashreplace"))

    def _add(self, folder: bytes, name: str) -> None:
        with self._store.write() as database:
            database.execute(
                "INSERT OR IGNORE INTO spaces (name, folder, uuid, created) VALUES (?, ?, ?, ?)",
                (name, folder, str(uuid.uuid4()), now_us()),
            )
