"""The Hub's state: one SQLite database in WAL mode, many readers, one writer at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, username TEXT UNIQUE NOT NULL, salt BLOB NOT NULL, digest BLOB NOT NULL,
  joined INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS clientkeys (id INTEGER PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, digest BLOB UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS spaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL, folder BLOB UNIQUE NOT NULL, uuid TEXT NOT NULL,
  created INTEGER NOT NULL, size INTEGER, hidden INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS workflows (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, parent INTEGER, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS documents_kind ON documents (kind, parent, id);
CREATE TABLE IF NOT EXISTS copies (id INTEGER PRIMARY KEY, ino INTEGER UNIQUE, path BLOB NOT NULL, object BLOB UNIQUE NOT NULL,
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, atime_ns INTEGER NOT NULL, sha256 BLOB NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, workflow TEXT NOT NULL, site TEXT NOT NULL, queue TEXT NOT NULL,
  discovery TEXT, state TEXT NOT NULL, created INTEGER NOT NULL, started INTEGER, completed INTEGER, body TEXT NOT NULL,
  owner TEXT, clientkey INTEGER, schedule INTEGER, stuck INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
  processed INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
  aborted INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, id);
CREATE INDEX IF NOT EXISTS jobs_created ON jobs (created);
CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, task_id TEXT NOT NULL, tasktype TEXT NOT NULL,
  state TEXT NOT NULL, started INTEGER, completed INTEGER);
CREATE INDEX IF NOT EXISTS tasks_job ON tasks (job, id);
CREATE TABLE IF NOT EXISTS paths (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, task INTEGER NOT NULL, path BLOB NOT NULL,
  input INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'pending', code TEXT, message TEXT, bytes INTEGER NOT NULL DEFAULT 0,
  processed_count INTEGER NOT NULL DEFAULT 0, UNIQUE (job, path));
CREATE INDEX IF NOT EXISTS paths_state ON paths (job, state, id);
CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, path INTEGER NOT NULL, state TEXT NOT NULL, code TEXT, message TEXT);
CREATE INDEX IF NOT EXISTS history_path ON history (path, id);
CREATE TABLE IF NOT EXISTS intents (row INTEGER PRIMARY KEY, kind TEXT NOT NULL, path BLOB NOT NULL, ino INTEGER NOT NULL,
  removable INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS processed (workflow TEXT NOT NULL, path BLOB NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (workflow, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fault_hits (rule TEXT NOT NULL, path BLOB NOT NULL, hits INTEGER NOT NULL, PRIMARY KEY (rule, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS searches (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS findings (search INTEGER NOT NULL, seq INTEGER NOT NULL, path BLOB NOT NULL, seen TEXT NOT NULL,
  PRIMARY KEY (search, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, severity TEXT NOT NULL, subject TEXT NOT NULL,
  summary TEXT NOT NULL, raised INTEGER NOT NULL, resolved INTEGER);
"""


class Store:
    """A database file; `read()` is a connection of the calling thread, `write()` one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._writer = self._connect()
        self._writer.executescript(_SCHEMA)

    def read(self) -> sqlite3.Connection:
        """Give this thread's own connection, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is on disk when the block ends, and is undone when the block raises."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def close(self) -> None:
        """Close every connection; the threads that read must have ended."""
        for connection in self._connections:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16000")
        self._connections.append(connection)
        return connection
