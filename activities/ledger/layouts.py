"""Layouts of databases that hold one version of some tables: made where there are none, other versions refused."""

from typing import Any

from sqlalchemy import Connection, MetaData, Table, inspect, select

from activities.ledger.database import Layout
from activities.ledger.records import WrongDatabase


def versioned(whose: str, lock: int, tables: MetaData, schema: Table, version: int) -> Layout:
    """Lay out these tables, one of which, `schema`, keeps the version; another version raises WrongDatabase."""

    def is_prepared(connection: Connection) -> bool:
        present: Any = inspect(connection)
        if not present.has_table(schema.name):
            return False
        versions = list(connection.scalars(select(schema.c.version)))
        if versions != [version]:
            found = ", ".join(map(str, versions)) or "none"
            raise WrongDatabase(f"{whose} schema has version {found}; this program writes version {version}")
        return True

    def prepare(connection: Connection) -> None:
        """The caller holds the writers' lock."""
        if not is_prepared(connection):
            tables.create_all(connection)
            connection.execute(schema.insert().values(version=version))

    return Layout(whose, lock, is_prepared, prepare)
