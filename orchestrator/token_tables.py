"""The tables of the tokens: who holds which, in which role, until when, and the browser sessions that hang on them."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text

from activities.ledger.layouts import versioned

SCHEMA_VERSION = 1

_metadata = MetaData()

tokens = Table(
    "token_tokens",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    Column("revoked_by", Text),
)

sessions = Table(
    "token_sessions",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("token_sessions_by_expiry", "expires_us"),
)

schema = Table("token_schema", _metadata, Column("version", Integer, primary_key=True))

TOKENS = versioned("the tokens'", 0x7469_6572_746F_6B65, _metadata, schema, SCHEMA_VERSION)
