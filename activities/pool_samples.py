"""The measured samples of pools: kept beside the audit, thinned with age, read for curves and forecasts."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from activities.ledger.database import Database
from activities.ledger.layouts import versioned
from activities.pool_board import Measured
from workflows.pools import Level, PoolRef

SCHEMA_VERSION = 1
MINUTES_FOR = timedelta(days=2)
HOURS_FOR = timedelta(days=400)
MINUTE, HOUR = 60, 3600
THIN_EVERY = 600.0

_metadata = MetaData()

samples = Table(
    "pool_samples",
    _metadata,
    Column("pool", Text, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("slot", BigInteger, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("capacity", BigInteger, nullable=False),
    Index("pool_samples_by_age", "step", "slot"),
)
schema = Table("pool_samples_schema", _metadata, Column("version", Integer, primary_key=True))


SAMPLES = versioned("the samples'", 0x7469_6572_706F_6F6C, _metadata, schema, SCHEMA_VERSION)


class PoolSamples:
    """One sample a minute for two days and one an hour for four hundred; a slot's first sample stays.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, url: str, wait: float = 30.0) -> None:
        self._database = Database(url, wait, SAMPLES)
        self._last_minute = 0
        self._thinned = float("-inf")

    def is_there(self) -> bool:
        """Tell whether anything was kept yet; nothing is made by asking."""
        return self._database.is_there()

    def keep(self, measured: Measured) -> None:
        """Keep a measurement, all pools in one transaction; a second one within the same minute costs nothing."""
        if not measured:
            return
        at = next(iter(measured.values())).at.timestamp()
        minute = int(at // MINUTE)
        if minute == self._last_minute:
            return
        rows = [
            {
                "pool": _name(ref),
                "step": step,
                "slot": int(at // step),
                "at_us": round(at * 1_000_000),
                "used": level.used,
                "capacity": level.capacity,
            }
            for ref, level in measured.items()
            for step in (MINUTE, HOUR)
        ]
        with self._database.writing() as connection:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            connection.execute(dialect.insert(samples).on_conflict_do_nothing(), rows)
            if time.monotonic() - self._thinned > THIN_EVERY:
                self._thinned = time.monotonic()
                for step, kept in ((MINUTE, MINUTES_FOR), (HOUR, HOURS_FOR)):
                    oldest = int((at - kept.total_seconds()) // step)
                    connection.execute(delete(samples).where(samples.c.step == step, samples.c.slot < oldest))
        self._last_minute = minute

    def read(self, ref: PoolRef, since: datetime) -> list[Level]:
        """Give the samples of a pool since then in order: by the minute where they are kept so, else by the hour."""
        if not self.is_there():
            return []
        since_us = round(since.timestamp() * 1_000_000)
        query = select(samples).where(samples.c.pool == _name(ref), samples.c.at_us >= since_us)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(samples.c.at_us)).all()
        fine = [row.at_us for row in rows if row.step == MINUTE]
        first = fine[0] if fine else None
        return [
            Level(at=datetime.fromtimestamp(row.at_us / 1_000_000, UTC), used=row.used, capacity=row.capacity)
            for row in rows
            if row.step == MINUTE or first is None or row.at_us < first
        ]

    def newest(self, most: int) -> list[tuple[PoolRef, Level]]:
        """Give the newest sample of each pool, of at most so many pools."""
        if not self.is_there():
            return []
        last = (
            select(samples.c.pool, func.max(samples.c.slot).label("slot"))
            .where(samples.c.step == MINUTE)
            .group_by(samples.c.pool)
            .order_by(samples.c.pool)
            .limit(most)
            .subquery()
        )
        query = select(samples).join(last, (samples.c.pool == last.c.pool) & (samples.c.slot == last.c.slot))
        with self._database.reading() as connection:
            rows = connection.execute(query.where(samples.c.step == MINUTE)).all()
        return [
            (
                _ref(row.pool),
                Level(at=datetime.fromtimestamp(row.at_us / 1_000_000, UTC), used=row.used, capacity=row.capacity),
            )
            for row in rows
        ]

    def pools(self) -> Sequence[PoolRef]:
        """Name every pool of which there are samples."""
        if not self.is_there():
            return []
        with self._database.reading() as connection:
            return [_ref(name) for name in connection.scalars(select(samples.c.pool).distinct())]

    def close(self) -> None:
        """Close every connection."""
        self._database.close()


def _name(ref: PoolRef) -> str:
    return "\t".join((ref.site, ref.filesystem or "", ref.pool))


def _ref(name: str) -> PoolRef:
    site, filesystem, pool = name.split("\t")
    return PoolRef(site=site, filesystem=filesystem or None, pool=pool)
