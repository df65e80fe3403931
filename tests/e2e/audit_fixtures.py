"""Databases for the audit's tests: a file of SQLite, and a database of a real PostgreSQL."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.audit_databases import Postgres, copied, is_runnable, programs


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], Postgres]]:
    """Start servers that end with the tests; without a PostgreSQL the tests fail, they do not skip."""
    started: list[Postgres] = []

    def start() -> Postgres:
        server = Postgres(Path(tempfile.mkdtemp(prefix="pg-")), programs())
        started.append(server)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            server.identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(server.folder, nobody.pw_uid, nobody.pw_gid)
            if not is_runnable(server):
                server.programs = copied(server.programs, server.folder)
        server.create()
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def postgres(new_postgres: Callable[[], Postgres]) -> Postgres:
    return new_postgres()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'audit.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()
