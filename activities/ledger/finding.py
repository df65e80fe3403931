"""Finding records: what is wanted of them, and a page of those that are it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from activities.ledger.events import Event
from activities.ledger.records import Stored, quoted, timestamp
from activities.ledger.tables import audit
from workflows.names import ascii_lower


@dataclass(frozen=True)
class Wanted:
    """Which records: what is not said leaves it open.

    An `event` that ends with `.*` is a family (`run.*`); an `actor` without a host is that person at any host; a
    `policy` takes every record of its runs, and those that name it; `text` stands in a record in any case (of ASCII).
    What is `said` are pieces of a record's body exactly as its canonical form has them. `since` is included, `until`
    is not.
    """

    run: str | None = None
    event: str | None = None
    actor: str | None = None
    policy: str | None = None
    text: str | None = None
    said: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


ALL = Wanted()


@dataclass(frozen=True)
class Page:
    """Some records in their order; `older` and `newer` are what `before` and `after` of the next page are, if any."""

    records: list[Stored]
    older: int | None = None
    newer: int | None = None


def condition(connection: Connection, wanted: Wanted) -> ColumnElement[bool]:
    """Write what is wanted as a condition on rows."""
    parts: list[ColumnElement[bool]] = [audit.c.seq > 0]
    if wanted.run is not None:
        parts.append(audit.c.run == wanted.run)
    if wanted.event is not None:
        family = wanted.event.removesuffix("*")
        is_family = wanted.event.endswith(".*")
        parts.append(_begins(audit.c.event, family) if is_family else audit.c.event == wanted.event)
    if wanted.actor is not None:
        here = audit.c.actor == wanted.actor
        parts.append(here if "@" in wanted.actor else or_(here, _begins(audit.c.actor, f"{wanted.actor}@")))
    if wanted.policy is not None:
        parts.append(_of_policy(connection, wanted.policy))
    if wanted.text is not None:
        parts.append(_holds(connection, ascii_lower(wanted.text)))
    parts += [_stands_in(connection, audit.c.body, piece) for piece in wanted.said]
    if wanted.since is not None:
        parts.append(audit.c.at >= timestamp(wanted.since))
    if wanted.until is not None:
        parts.append(audit.c.at < timestamp(wanted.until))
    return and_(*parts)


def _of_policy(connection: Connection, policy: str) -> ColumnElement[bool]:
    """Take the records of the policy's runs, and others whose body names it.

    A canonical body holds exactly this text where it names the policy, so no database has to understand JSON.
    """
    named = _stands_in(connection, audit.c.body, f'"policy":{quoted(policy)}')
    runs = select(audit.c.run).where(audit.c.event == Event.RUN_STARTED, named)
    return or_(audit.c.run.in_(runs), and_(audit.c.run.is_(None), named))


def _holds(connection: Connection, text: str) -> ColumnElement[bool]:
    columns = (audit.c.body, audit.c.actor, audit.c.event, audit.c.key, func.coalesce(audit.c.run, ""))
    inside = quoted(text)[1:-1]  # as a JSON text holds it
    found = [_stands_in(connection, func.lower(column), text) for column in columns[1:]]
    return or_(_stands_in(connection, func.lower(columns[0]), inside), *found)


def _begins(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Say that a text begins so, in a way that an index serves; bytes decide the order in both databases."""
    return and_(column >= text, not_(column >= text[:-1] + chr(ord(text[-1]) + 1)))


def _stands_in(connection: Connection, column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    place = func.instr if connection.dialect.name == "sqlite" else func.strpos
    return place(column, text) > 0
