"""The tables of the claims: who holds files, which ones, and the folders that those lie below."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects import sqlite

from activities.ledger.layouts import versioned

SCHEMA_VERSION = 2

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
    Column("silent_us", BigInteger),
    Column("queue", Text),
    Column("target", Text),
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


_ADDED = {"queue": "TEXT", "target": "TEXT", "silent_us": "BIGINT"}
_UPGRADES = {1: [f"ALTER TABLE claim_holders ADD COLUMN {name} {kind}" for name, kind in _ADDED.items()]}

CLAIMS = versioned("the claims'", 0x7469_6572_636C_616D, _metadata, schema, SCHEMA_VERSION, _UPGRADES)
