"""A database of ours: one writer at a time, readers at any time, and errors that say whether to try again."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from activities.ledger.records import AuditError, AuditUnavailable, WrongDatabase
from activities.ledger.tables import is_prepared, prepare


@dataclass(frozen=True)
class Layout:
    """What a database holds: whose it is in a message, the lock of its writers, and how its tables come to be.

    The lock is any constant of 63 bits that no other user of the database takes.
    """

    whose: str
    lock: int
    is_prepared: Callable[[Connection], bool]
    prepare: Callable[[Connection], None]


AUDIT = Layout("the audit's", 0x7469_6572_6175_6474, is_prepared, prepare)


class Database:
    """An engine that connects at its first use, so that a database that is down stops nobody from starting."""

    def __init__(self, url: str, wait: float, layout: Layout = AUDIT) -> None:
        self._layout = layout
        self._url = _parsed(url)
        self._engine = _engine(self._url, wait)
        self._opening = Lock()
        self._open = False

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that no other writer, in any process, overlaps; it commits at the end."""
        with _told_apart(self._layout.whose):
            self._ensure_open()
            with self._engine.connect() as connection:
                _take_lock(connection, self._layout.lock)
                yield connection
                connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading what is committed."""
        with _told_apart(self._layout.whose):
            self._ensure_open()
            with self._engine.connect() as connection:
                yield connection

    def is_there(self) -> bool:
        """Tell whether there is a database at the address, without making one."""
        return self._url.get_backend_name() != "sqlite" or Path(str(self._url.database)).exists()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _ensure_open(self) -> None:
        with self._opening:
            if self._open:
                return
            if self._url.get_backend_name() == "sqlite":
                _make_folder(self._url, self._layout.whose)
            with self._engine.connect() as connection:
                if not self._layout.is_prepared(connection):
                    connection.rollback()
                    _take_lock(connection, self._layout.lock)
                    self._layout.prepare(connection)
                    connection.commit()
            self._open = True


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise WrongDatabase("the audit's address is no database URL such as sqlite:////folder/audit.db") from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise WrongDatabase(f"the audit can be kept in SQLite or PostgreSQL, not in {parsed.get_backend_name()}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise WrongDatabase("the audit needs a file: sqlite:////folder/audit.db")
    return parsed


def _engine(url: URL, wait: float) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, hide_parameters=True, connect_args={"timeout": wait})
            event.listen(engine, "connect", _set_up_sqlite)
            return engine
        # READ COMMITTED: what is read after the lock was waited for has to be what the last writer committed.
        return create_engine(
            url,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "options": f"-c lock_timeout={round(wait * 1000)}ms"},
        )
    except (NoSuchModuleError, ImportError) as error:
        raise WrongDatabase(f"the driver {url.drivername} is not installed") from error


def _set_up_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions by itself, and too late for the lock
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit that was acknowledged is on the disk. NORMAL could forget the last submits at a loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA recursive_triggers = ON")


def _take_lock(connection: Connection, lock: int) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock})")


def _make_folder(url: URL, whose: str) -> None:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongDatabase(f"{whose} folder cannot be made: {error}") from error


# States of SQL (SQLSTATE) whose class says that the database, not the statement, is in the way: lost connections,
# rolled-back transactions, missing resources, locks not got in time, shutdowns, disk and system errors.
_PASSING = ("08", "40", "53", "55", "57", "58")
_SQLITE_PASSING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
)


@contextmanager
def _told_apart(whose: str) -> Iterator[None]:
    try:
        yield
    except AuditError:
        raise
    except PoolTimeout as error:
        raise AuditUnavailable(f"{whose} database is too busy to give a connection") from error
    except DBAPIError as error:
        kind = AuditUnavailable if _is_passing(error) else WrongDatabase
        raise kind(f"{whose} database says: {error.orig}") from error
    except SQLAlchemyError as error:
        raise WrongDatabase(f"{whose} records cannot be kept there: {error}") from error


def _is_passing(error: DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _SQLITE_PASSING
    state = getattr(cause, "sqlstate", None)
    if state is None:  # the connection never came to be, or broke: nobody gave a state
        return True
    return str(state).startswith(_PASSING)
