"""The table of the answers that are given again."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from activities.ledger.layouts import versioned

SCHEMA_VERSION = 1

_metadata = MetaData()

answers = Table(
    "repeat_answers",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("begun_us", BigInteger, nullable=False),
    Column("status", Integer),
    Column("media_type", Text),
    Column("body", LargeBinary),
    Index("repeat_answers_by_age", "begun_us"),
)

schema = Table("repeat_schema", _metadata, Column("version", Integer, primary_key=True))

REPEATS = versioned("the answers'", 0x7469_6572_616E_7377, _metadata, schema, SCHEMA_VERSION)
