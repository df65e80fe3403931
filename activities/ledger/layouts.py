"""Layouts of databases that hold one version of some tables: made where there are none, other versions refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, Table, inspect, select, text, update

from activities.ledger.database import Layout
from activities.ledger.records import WrongDatabase


def versioned(
    whose: str,
    lock: int,
    tables: MetaData,
    schema: Table,
    version: int,
    upgrades: Mapping[int, Sequence[str]] | None = None,
) -> Layout:
    """Lay out these tables, one of which, `schema`, keeps the version; another version raises WrongDatabase.

    What `upgrades` names for an older version are the statements that make it this one.
    """
    known = upgrades or {}

    def is_prepared(connection: Connection) -> bool:
        present: Any = inspect(connection)
        if not present.has_table(schema.name):
            return False
        versions = list(connection.scalars(select(schema.c.version)))
        if len(versions) == 1 and versions[0] in known:
            return False
        if versions != [version]:
            found = ", ".join(map(str, versions)) or "none"
            raise WrongDatabase(f"{whose} schema has version {found}; this program writes version {version}")
        return True

    def prepare(connection: Connection) -> None:
        """The caller holds the writers' lock."""
        if is_prepared(connection):
            return
        present: Any = inspect(connection)
        if present.has_table(schema.name):
            for statement in known[connection.scalars(select(schema.c.version)).one()]:
                connection.execute(text(statement))
            connection.execute(update(schema).values(version=version))
        else:
            tables.create_all(connection)
            connection.execute(schema.insert().values(version=version))

    return Layout(whose, lock, is_prepared, prepare)
