"""The tables of the quarantine: files that failed, how often in a row, until when they are set aside."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from activities.ledger.layouts import versioned

SCHEMA_VERSION = 1

_metadata = MetaData()

# A path is kept as the bytes of its text: PostgreSQL's texts hold no NUL, and an index no path of 4,096 bytes.
failing = Table(
    "quarantine_files",
    _metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("site", Text, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("run", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("set_us", BigInteger),
    Column("until_us", BigInteger),
    Index("quarantine_files_by_site", "site", "until_us"),
)

counted = Table(
    "quarantine_counted",
    _metadata,
    Column("run", Text, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)
"""Up to which batch the tries of a run are counted, so that none counts twice however often it is told."""

schema = Table("quarantine_schema", _metadata, Column("version", Integer, primary_key=True))


QUARANTINE = versioned("the quarantine's", 0x7469_6572_7175_6172, _metadata, schema, SCHEMA_VERSION)
