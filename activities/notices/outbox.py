"""The outbox: notices that wait for their targets, were sent, or were given up; one process at a time sends from it."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activities.claims import now_us
from activities.ledger.database import Database
from activities.notices.grouping import HOUR, Waiting
from activities.notices.notice import Notice, Urgency
from activities.notices.tables import NOTICES, health, messages, outbox, place, runs
from workflows.units import microseconds

WAITING, SENDING, SENT, GIVING_UP, GIVEN_UP = "waiting", "sending", "sent", "giving_up", "given_up"

HELD_FOR = timedelta(seconds=30)
"""So long a sender is trusted to be there without a word of it."""

SENT_WITHIN = timedelta(minutes=3)
"""A message whose end was not recorded for so long is sent again: its sender died, before or after it arrived."""

KEPT_FOR = timedelta(days=35)
MOST_AT_ONCE = 5_000
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(minutes=15)


class NotHeld(Exception):
    """Another process sends now."""


@dataclass(frozen=True)
class Place:
    """How far the audit was followed, from when on it is told, and when the last digest was due."""

    cursor: int
    began: datetime
    digest: datetime


@dataclass(frozen=True)
class TargetHealth:
    """How a target does: tries that failed in a row, when the next one is, and how its notices stand."""

    target: str
    failures: int = 0
    next_try: datetime | None = None
    error: str | None = None
    last_sent: datetime | None = None
    waiting: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True)
class Listed:
    """One notice in the outbox, for people."""

    target: str
    state: str
    moved: datetime
    notice: Notice


class Outbox:
    """The outbox in one database; safe to use from many threads and processes at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it); what only the holder may do raises
    NotHeld in any other process.
    """

    def __init__(
        self, url: str, *, wait: float = 30.0, held_for: timedelta = HELD_FOR, sent_within: timedelta = SENT_WITHIN
    ) -> None:
        self._database = Database(url, wait, NOTICES)
        self._held_us = microseconds(held_for)
        self._sent_within_us = microseconds(sent_within)
        self._token = uuid.uuid4().hex

    def is_there(self) -> bool:
        """Tell whether anything was kept yet; nothing is made by asking."""
        return self._database.is_there()

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def hold(self, *, equipped: bool) -> bool:
        """Be the one that sends, or stay it; False while another one is.

        One that knows no target leaves the place to one that does.
        """
        with self._database.writing() as connection:
            now = now_us(connection)
            there = connection.execute(select(place)).one_or_none()
            if there is None:
                connection.execute(
                    insert(place).values(one=1, cursor=0, began_us=now, digest_us=now, until_us=0, equipped=False)
                )
            elif there.holder != self._token and there.until_us >= now and (there.equipped or not equipped):
                return False
            if there is None or there.holder != self._token or there.until_us < now + self._held_us // 2:
                until = now + self._held_us
                connection.execute(update(place).values(holder=self._token, until_us=until, equipped=equipped))
            return True

    def let_go(self) -> None:
        """Leave the place to another process at once."""
        with self._database.writing() as connection:
            connection.execute(update(place).where(place.c.holder == self._token).values(holder=None, until_us=0))

    @contextmanager
    def holding(self) -> Iterator[Connection]:
        """Give a transaction in which nobody else is the holder. Raises NotHeld."""
        with self._database.writing() as connection:
            found = connection.execute(select(place)).one_or_none()
            if found is None or found.holder != self._token or found.until_us < now_us(connection):
                raise NotHeld
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading what is committed."""
        with self._database.reading() as connection:
            yield connection

    def place(self) -> Place | None:
        """Tell how far the audit was followed; None before the first time."""
        if not self.is_there():
            return None
        with self._database.reading() as connection:
            found = connection.execute(select(place)).one_or_none()
        return None if found is None else Place(found.cursor, _moment(found.began_us), _moment(found.digest_us))

    def waiting(self, target: str) -> tuple[list[Waiting], dict[str, int], int, int]:
        """Give what waits for a target, when its groups went last, its messages of an hour, and the time now."""
        with self._database.reading() as connection:
            now = now_us(connection)
            rows = connection.execute(
                select(outbox.c.id, outbox.c.group, outbox.c.urgency, outbox.c.made_us)
                .where(outbox.c.target == target, outbox.c.state == WAITING)
                .order_by(outbox.c.id)
                .limit(MOST_AT_ONCE)
            ).all()
            last = connection.execute(
                select(messages.c.group, func.max(messages.c.sent_us))
                .where(messages.c.target == target)
                .group_by(messages.c.group)
            ).all()
            lately = connection.scalar(
                select(func.count(messages.c.message.distinct())).where(
                    messages.c.target == target, messages.c.sent_us > now - microseconds(HOUR)
                )
            )
        found = [Waiting(row.id, row.group, row.urgency == Urgency.URGENT, row.made_us) for row in rows]
        return found, {row[0]: row[1] for row in last}, lately or 0, now

    def claim(self, target: str, ids: Sequence[int]) -> tuple[str, list[Notice]]:
        """Take notices into one message that is about to be sent; gives its id and what is in it."""
        message = uuid.uuid4().hex
        found: list[Notice] = []
        with self.holding() as connection:
            now = now_us(connection)
            for part in _parts(ids):
                which = and_(outbox.c.target == target, outbox.c.state == WAITING, outbox.c.id.in_(part))
                rows = connection.scalars(select(outbox.c.notice).where(which).order_by(outbox.c.id))
                found += [Notice.model_validate_json(row) for row in rows]
                connection.execute(update(outbox).where(which).values(state=SENDING, message=message, moved_us=now))
        return message, found

    def sent(self, target: str, message: str) -> None:
        """Record that a message arrived. Whoever holds the place now: what was sent was sent."""
        with self._database.writing() as connection:
            now = now_us(connection)
            which = outbox.c.message == message
            groups = list(connection.scalars(select(outbox.c.group).where(which).distinct()))
            connection.execute(update(outbox).where(which).values(state=SENT, moved_us=now))
            rows = [{"target": target, "group": group, "sent_us": now, "message": message} for group in groups]
            if rows:
                connection.execute(_insert(connection, messages).on_conflict_do_nothing(), rows)
            values = {"failures": 0, "next_us": 0, "error": None, "sent_us": now}
            _upsert_health(connection, target, values)

    def failed(self, target: str, message: str, error: str) -> None:
        """Put a message's notices back, and let the target rest for a while, longer with each failure in a row."""
        with self._database.writing() as connection:
            now = now_us(connection)
            which = and_(outbox.c.message == message, outbox.c.state == SENDING)
            connection.execute(update(outbox).where(which).values(state=WAITING, message=None, moved_us=now))
            there = connection.scalar(select(health.c.failures).where(health.c.target == target)) or 0
            wait = min(microseconds(FIRST_WAIT) * 2 ** min(there, 20), microseconds(LONGEST_WAIT))
            values = {"failures": there + 1, "next_us": now + wait, "error": error[:500]}
            _upsert_health(connection, target, values)

    def unresolved(self) -> list[tuple[str, str]]:
        """Put back what a sender took and never told the end of; give targets and messages that are being given up."""
        with self.holding() as connection:
            long_ago = now_us(connection) - self._sent_within_us
            lost = and_(outbox.c.state == SENDING, outbox.c.moved_us < long_ago)
            connection.execute(update(outbox).where(lost).values(state=WAITING, message=None))
            found = select(outbox.c.target, outbox.c.message).where(outbox.c.state == GIVING_UP).distinct()
            return [(row.target, row.message) for row in connection.execute(found)]

    def give_up(self, target: str, after: timedelta) -> None:
        """Mark what has waited for longer than that, to be recorded as given up together."""
        with self.holding() as connection:
            now = now_us(connection)
            old = and_(
                outbox.c.target == target, outbox.c.state == WAITING, outbox.c.made_us < now - microseconds(after)
            )
            connection.execute(
                update(outbox).where(old).values(state=GIVING_UP, message=uuid.uuid4().hex, moved_us=now)
            )

    def in_message(self, message: str) -> list[Notice]:
        """Give the notices that one message holds."""
        with self._database.reading() as connection:
            rows = connection.scalars(
                select(outbox.c.notice).where(outbox.c.message == message).order_by(outbox.c.id)
            ).all()
        return [Notice.model_validate_json(row) for row in rows]

    def given_up(self, message: str) -> None:
        """Record that it is in the audit that they were given up."""
        with self._database.writing() as connection:
            which = and_(outbox.c.message == message, outbox.c.state == GIVING_UP)
            connection.execute(update(outbox).where(which).values(state=GIVEN_UP, moved_us=now_us(connection)))

    def tidy(self) -> None:
        """Forget what ended long ago."""
        with self.holding() as connection:
            old = now_us(connection) - microseconds(KEPT_FOR)
            connection.execute(delete(outbox).where(outbox.c.state.in_((SENT, GIVEN_UP)), outbox.c.moved_us < old))
            connection.execute(delete(messages).where(messages.c.sent_us < old))
            connection.execute(delete(runs).where(runs.c.ended_us < old))

    def health(self) -> dict[str, TargetHealth]:
        """Tell how each target does for which there ever was a notice."""
        if not self.is_there():
            return {}
        unsent = or_(*(outbox.c.state == state for state in (WAITING, SENDING, GIVING_UP)))
        with self._database.reading() as connection:
            waits = {
                row.target: row
                for row in connection.execute(
                    select(
                        outbox.c.target,
                        func.count().label("waiting"),
                        func.min(outbox.c.made_us).label("oldest"),
                    )
                    .where(unsent)
                    .group_by(outbox.c.target)
                )
            }
            known = {row.target: row for row in connection.execute(select(health))}
        return {name: _health(name, known.get(name), waits.get(name)) for name in sorted({*waits, *known})}

    def listed(self, state: str | None = None, target: str | None = None, limit: int = 20) -> list[Listed]:
        """Give the newest notices, in the order in which they came to stand as they do."""
        if not self.is_there():
            return []
        query = select(outbox).order_by(outbox.c.moved_us.desc(), outbox.c.id.desc()).limit(limit)
        if state is not None:
            also = {WAITING: (WAITING, SENDING), GIVEN_UP: (GIVEN_UP, GIVING_UP)}.get(state, (state,))
            query = query.where(outbox.c.state.in_(also))
        if target is not None:
            query = query.where(outbox.c.target == target)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Listed(row.target, row.state, _moment(row.moved_us), Notice.model_validate_json(row.notice))
            for row in reversed(rows)
        ]

    def backlog(self) -> dict[str, int]:
        """Count the notices by how they stand."""
        if not self.is_there():
            return {}
        with self._database.reading() as connection:
            rows = connection.execute(select(outbox.c.state, func.count()).group_by(outbox.c.state)).all()
        return {row[0]: row[1] for row in rows}


def put(connection: Connection, notice: Notice, targets: Sequence[str], now: int) -> None:
    """Put a notice into the outbox for its targets, within the holder's transaction; once, however often it is put."""
    rows = [
        {
            "key": notice.key,
            "target": target,
            "group": notice.group,
            "kind": notice.kind,
            "urgency": notice.urgency,
            "notice": notice.model_dump_json(),
            "state": WAITING,
            "made_us": now,
            "moved_us": now,
        }
        for target in targets
    ]
    if rows:
        connection.execute(_insert(connection, outbox).on_conflict_do_nothing(), rows)


def _upsert_health(connection: Connection, target: str, values: dict[str, Any]) -> None:
    there = _insert(connection, health).values(target=target, **{"sent_us": None, **values})
    connection.execute(there.on_conflict_do_update(index_elements=["target"], set_=values))


def _insert(connection: Connection, table: Any) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _health(
    name: str, known: "Row[tuple[object, ...]] | None", waits: "Row[tuple[object, ...]] | None"
) -> TargetHealth:
    return TargetHealth(
        target=name,
        failures=0 if known is None else known.failures,
        next_try=None if known is None or not known.next_us else _moment(known.next_us),
        error=None if known is None else known.error,
        last_sent=None if known is None or known.sent_us is None else _moment(known.sent_us),
        waiting=0 if waits is None else waits.waiting,
        oldest=None if waits is None else _moment(waits.oldest),
    )


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), 500):
        yield ids[start : start + 500]


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
