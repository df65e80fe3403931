"""Databases for the audit's tests: a file of SQLite, and a database of a real PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.audit_databases import Postgres, started


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], Postgres]]:
    """Start servers that end with the tests; without a PostgreSQL the tests fail, they do not skip."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(started())


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
