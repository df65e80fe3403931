"""The tables of the claims: who holds files, which ones, and the folders that those lie below."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    inspect,
    select,
)
from sqlalchemy.dialects import sqlite

from activities.ledger.database import Layout
from activities.ledger.records import WrongDatabase

SCHEMA_VERSION = 1

_metadata = MetaData()
_NUMBER = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

holders = Table(
    "claim_holders",
    _metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("place", Text, nullable=False, unique=True),
    Column("site", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("job", BigInteger),
    Column("token", Text, nullable=False),
    Column("taken_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)

paths = Table(
    "claim_paths",
    _metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("holder", _NUMBER, nullable=False),
    Column("tree", Boolean, nullable=False),
    Index("claim_paths_by_holder", "holder"),
    sqlite_with_rowid=False,
)

folders = Table(
    "claim_folders",
    _metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("holder", _NUMBER, primary_key=True),
    Index("claim_folders_by_holder", "holder"),
    sqlite_with_rowid=False,
)

schema = Table("claim_schema", _metadata, Column("version", Integer, primary_key=True))


def is_prepared(connection: Connection) -> bool:
    """Tell whether the tables are there; raises WrongDatabase when they are not of this version."""
    present: Any = inspect(connection)
    if not present.has_table(schema.name):
        return False
    versions = list(connection.scalars(select(schema.c.version)))
    if versions != [SCHEMA_VERSION]:
        found = ", ".join(map(str, versions)) or "none"
        raise WrongDatabase(f"the claims' schema has version {found}; this program writes version {SCHEMA_VERSION}")
    return True


def prepare(connection: Connection) -> None:
    """Create the tables where there are none; the caller holds the writers' lock."""
    if not is_prepared(connection):
        _metadata.create_all(connection)
        connection.execute(schema.insert().values(version=SCHEMA_VERSION))


CLAIMS = Layout("the claims'", 0x7469_6572_636C_616D, is_prepared, prepare)
