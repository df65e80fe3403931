"""The tables of the notices: the outbox, how its targets do, and what was learnt from the audit so far."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

from activities.ledger.layouts import versioned

SCHEMA_VERSION = 1

_metadata = MetaData()

outbox = Table(
    "notices_outbox",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("urgency", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("message", Text),
    Column("moved_us", BigInteger, nullable=False),
    Index("notices_outbox_once", "key", "target", unique=True),
    Index("notices_outbox_by_state", "target", "state", "moved_us"),
    Index("notices_outbox_by_message", "message"),
)
"""`moved_us` is when the state became what it is; `message` the one that it goes, went, or was given up with."""

messages = Table(
    "notices_messages",
    _metadata,
    Column("target", Text, primary_key=True),
    Column("group", Text, primary_key=True),
    Column("sent_us", BigInteger, primary_key=True),
    Column("message", Text, nullable=False),
)
"""What was sent when: the limits of the targets and the windows of the groups hang on it."""

health = Table(
    "notices_targets",
    _metadata,
    Column("target", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("error", Text),
    Column("sent_us", BigInteger),
)

place = Table(
    "notices_place",
    _metadata,
    Column("one", Integer, primary_key=True),
    Column("cursor", BigInteger, nullable=False),
    Column("began_us", BigInteger, nullable=False),
    Column("digest_us", BigInteger, nullable=False),
    Column("holder", Text),
    Column("until_us", BigInteger, nullable=False),
    Column("equipped", Boolean, nullable=False),
)
"""How far the audit was followed, and who sends; what was recorded before `began_us` is learnt from, not told."""

policies = Table(
    "notices_policies",
    _metadata,
    Column("policy", Text, primary_key=True),
    Column("notify", Text, nullable=False),
    Column("slo", Text),
    Column("sites", Text, nullable=False),
    Column("promised_us", BigInteger),
)

successes = Table(
    "notices_successes",
    _metadata,
    Column("policy", Text, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
)

runs = Table(
    "notices_runs",
    _metadata,
    Column("run", Text, primary_key=True),
    Column("policy", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("notify", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("breaker", Text, nullable=False),
    Column("asked_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("reminded", Boolean, nullable=False),
    Column("ended_us", BigInteger),
    Index("notices_runs_by_expiry", "expires_us"),
)
"""Open runs, and those that ended lately; `asked_us` and `expires_us` stand while one waits for an approval."""

schema = Table("notices_schema", _metadata, Column("version", Integer, primary_key=True))

NOTICES = versioned("the notices'", 0x7469_6572_6E6F_7465, _metadata, schema, SCHEMA_VERSION)
