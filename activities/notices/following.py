"""Follows the audit: each record once, into what is known of policies and runs, and into notices in the outbox.

What a record changes, the notices that it makes and the cursor behind it go into one transaction: a process that dies
anywhere repeats nothing and skips nothing.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activities.claims import now_us
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.notices.outbox import Outbox, put
from activities.notices.tables import place, policies, runs, successes
from activities.notices.targets import Targets
from activities.notices.telling import moment_of, told
from workflows.policy import Notify
from workflows.run import RunState

MOST_RECORDS = 500


class Follower:
    """Brings the outbox up to the end of the audit, a stretch at a time."""

    def __init__(
        self, log: AuditLog, outbox: Outbox, targets: Targets, counted: Callable[[Stored], None] = lambda record: None
    ) -> None:
        """Take also who counts each record, once over all workers."""
        self._counted = counted
        self._log = log
        self._outbox = outbox
        self._targets = targets

    def follow(self) -> int:
        """Follow the next records and give their number; may raise NotHeld, and what the audit raises."""
        at = self._outbox.place()
        if at is None or not (records := self._log.records(after=at.cursor, limit=MOST_RECORDS)):
            return 0
        with self._outbox.holding() as connection:
            # Another holder may have followed meanwhile; the cursor is read again where nobody else can move it.
            cursor = connection.scalar(select(place.c.cursor)) or 0
            new = [record for record in records if record.seq > cursor]
            for record in new:
                self._take(connection, record, since=at.began)
            connection.execute(update(place).values(cursor=max(cursor, records[-1].seq)))
        for record in new:
            if moment_of(record) >= at.began:
                self._counted(record)
        return len(records)

    def _take(self, connection: Connection, record: Stored, since: datetime) -> None:
        if (learn := _LEARNT.get(record.event)) is not None:
            learn(connection, record)
        if moment_of(record) < since:
            return
        policy, own = _hearers(connection, record)
        notice = told(record, policy)
        if notice is not None:
            put(connection, notice, self._targets.routed(notice, own), now_us(connection))


def _hearers(connection: Connection, record: Stored) -> tuple[str | None, list[Notify]]:
    """Give the policy that a record is about, and whom that policy names: the run's own, else the applied one's."""
    run = None
    if record.run is not None:
        run = connection.execute(select(runs).where(runs.c.run == record.run)).one_or_none()
    if run is not None:
        return run.policy, hearers_of(run.notify)
    policy = record.body.get("policy")
    names = record.body.get("policies", []) if policy is None else [policy]
    found = connection.scalars(select(policies.c.notify).where(policies.c.policy.in_(names))).all()
    return policy, [one for text in found for one in hearers_of(text)]


def hearers_of(text: str) -> list[Notify]:
    """Read whom a policy names, as it is kept."""
    return [Notify.model_validate(one) for one in json.loads(text)]


def _run_started(connection: Connection, record: Stored) -> None:
    body = record.body
    row = {
        "run": record.run,
        "policy": body.get("policy", "?"),
        "site": body.get("site", "?"),
        "notify": json.dumps(body.get("notify", [])),
        "since_us": _us(record),
        "state": RunState.RUNNING,
        "breaker": "closed",
        "reminded": False,
    }
    connection.execute(_insert(connection, runs).values(**row).on_conflict_do_nothing())


def _run_ended(connection: Connection, record: Stored) -> None:
    which = runs.c.run == record.run
    run = connection.execute(select(runs).where(which)).one_or_none()
    if run is None:
        return
    values = {"state": str(record.body.get("state")), "ended_us": _us(record), "asked_us": None, "expires_us": None}
    connection.execute(update(runs).where(which).values(**values))
    if record.body.get("state") == RunState.SUCCEEDED:
        row = {"policy": run.policy, "site": run.site, "at_us": _us(record)}
        _upsert(connection, successes, row, "policy", "site")


def _approval_wanted(connection: Connection, record: Stored) -> None:
    expires = datetime.fromisoformat(str(record.body["expires"]))
    values = {
        "asked_us": _us(record),
        "expires_us": round(expires.timestamp() * 1_000_000),
        "reminded": False,
        "state": RunState.WAITING,
    }
    connection.execute(update(runs).where(runs.c.run == record.run).values(**values))


def _approval_over(connection: Connection, record: Stored) -> None:
    values = {"asked_us": None, "expires_us": None, "state": RunState.RUNNING}
    connection.execute(update(runs).where(runs.c.run == record.run).values(**values))


def _run_paused(connection: Connection, record: Stored) -> None:
    connection.execute(update(runs).where(runs.c.run == record.run).values(state=RunState.PAUSED))


def _run_resumed(connection: Connection, record: Stored) -> None:
    if record.body.get("still") is None:
        connection.execute(update(runs).where(runs.c.run == record.run).values(state=RunState.RUNNING))


def _breaker_changed(connection: Connection, record: Stored) -> None:
    stand = str(record.body.get("stand"))
    connection.execute(update(runs).where(runs.c.run == record.run).values(breaker=stand))


def _policy_applied(connection: Connection, record: Stored) -> None:
    body = record.body
    there = connection.execute(select(policies).where(policies.c.policy == body["policy"])).one_or_none()
    promised = None
    if body.get("slo"):
        # A policy that is changed every day keeps the promise that it made on the first.
        promised = there.promised_us if there is not None and there.slo else _us(record)
    row = {
        "policy": body["policy"],
        "notify": json.dumps(body.get("notify", [])),
        "slo": json.dumps(body["slo"]) if body.get("slo") else None,
        "sites": json.dumps(body.get("sites", [])),
        "promised_us": promised,
    }
    _upsert(connection, policies, row, "policy")


def _policy_removed(connection: Connection, record: Stored) -> None:
    for table in (policies, successes):
        connection.execute(delete(table).where(table.c.policy == record.body["policy"]))


_LEARNT: dict[str, Callable[[Connection, Stored], None]] = {
    Event.RUN_STARTED: _run_started,
    Event.RUN_ENDED: _run_ended,
    Event.APPROVAL_WANTED: _approval_wanted,
    Event.PLAN_APPROVED: _approval_over,
    Event.PLAN_REJECTED: _approval_over,
    Event.APPROVAL_EXPIRED: _approval_over,
    Event.RUN_PAUSED: _run_paused,
    Event.RUN_RESUMED: _run_resumed,
    Event.BREAKER_CHANGED: _breaker_changed,
    Event.POLICY_APPLIED: _policy_applied,
    Event.POLICY_REMOVED: _policy_removed,
}


def _us(record: Stored) -> int:
    return round(moment_of(record).timestamp() * 1_000_000)


def _upsert(connection: Connection, table: Any, row: dict[str, Any], *keys: str) -> None:
    values = {name: value for name, value in row.items() if name not in keys}
    statement = _insert(connection, table).values(**row)
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=values))


def _insert(connection: Connection, table: Any) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
