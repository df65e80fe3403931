"""The audit's tables and the triggers that let a record only ever be added, in SQLite and in PostgreSQL."""

from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, MetaData, Table, Text, inspect, select
from sqlalchemy.dialects import postgresql, sqlite

from activities.ledger.records import GENESIS, WrongDatabase

SCHEMA_VERSION = 1

# Bytes decide the order of texts and times in both databases, whatever the locale of a PostgreSQL database is.
_BYTEWISE = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SEQUENCE = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

_metadata = MetaData()

audit = Table(
    "audit",
    _metadata,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    Column("at", _BYTEWISE, nullable=False),
    Column("actor", _BYTEWISE, nullable=False),
    Column("run", _BYTEWISE),
    Column("event", _BYTEWISE, nullable=False),
    Column("key", _BYTEWISE, nullable=False, unique=True),
    Column("body", _BYTEWISE, nullable=False),
    Column("prev_hash", _BYTEWISE, nullable=False),
    Column("hash", _BYTEWISE, nullable=False),
    Index("audit_by_run", "run", "seq"),
    Index("audit_by_event", "event", "seq"),
    sqlite_strict=True,
)

schema = Table("audit_schema", _metadata, Column("version", Integer, primary_key=True), sqlite_strict=True)

_ADDED_ELSEWHERE = f"""NEW.seq <> coalesce((SELECT max(seq) FROM audit), 0) + 1
    OR NEW.prev_hash <> coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), '{GENESIS}')"""

# INSERT OR REPLACE deletes without firing a delete trigger, so the insert trigger looks at the key as well.
_SQLITE_TRIGGERS = (
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only: no record can be changed'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only: no record can be removed'); END""",
    f"""CREATE TRIGGER audit_only_at_end BEFORE INSERT ON audit
    WHEN {_ADDED_ELSEWHERE} OR EXISTS (SELECT 1 FROM audit WHERE key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only: a record follows the last one'); END""",
)

_POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the audit is append-only: no record can be changed or removed'
        USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    f"""CREATE FUNCTION audit_at_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF {_ADDED_ELSEWHERE} THEN RAISE EXCEPTION 'the audit is append-only: a record follows the last one'
        USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_only_at_end BEFORE INSERT ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_at_end()""",
)


def is_prepared(connection: Connection) -> bool:
    """Tell whether the tables are there; raises WrongDatabase when they are not of this version."""
    present: Any = inspect(connection)
    has_audit = present.has_table(audit.name)
    if not present.has_table(schema.name):
        if has_audit:
            raise WrongDatabase("the database has a table 'audit' that is not of this product")
        return False
    versions = list(connection.scalars(select(schema.c.version)))
    if versions != [SCHEMA_VERSION]:
        found = ", ".join(map(str, versions)) or "none"
        raise WrongDatabase(f"the audit's schema has version {found}; this program writes version {SCHEMA_VERSION}")
    if not has_audit:
        raise WrongDatabase("the audit's table is gone although its schema's version is there")
    return True


def prepare(connection: Connection) -> None:
    """Create the tables where there are none; the caller holds the writers' lock."""
    if is_prepared(connection):
        return
    _check_encoding(connection)
    _metadata.create_all(connection)
    for statement in _SQLITE_TRIGGERS if connection.dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS:
        connection.exec_driver_sql(statement)
    connection.execute(schema.insert().values(version=SCHEMA_VERSION))


def _check_encoding(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise WrongDatabase(f"the database keeps texts as {encoding}; the audit needs UTF8")
