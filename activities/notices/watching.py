"""What no record tells because nothing happened: policies that are late, and approvals that nobody has given yet."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, select, update

from activities.claims import now_us
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from activities.notices.following import hearers_of
from activities.notices.notice import Kind, Notice, Urgency
from activities.notices.outbox import Outbox, put
from activities.notices.tables import policies, runs, successes
from activities.notices.targets import Targets
from workflows.policy import Slo
from workflows.units import duration_text

REMINDED_AT = 0.75
"""The part of an approval's time after which it is reminded of."""


@dataclass(frozen=True)
class Promise:
    """What a policy promises at a site, and how it keeps it."""

    policy: str
    site: str
    slo: Slo
    last_success: datetime | None
    since: datetime

    def late(self, now: datetime) -> list[tuple[str, timedelta]]:
        """Give the marks that are passed, the mildest first."""
        marks = (("warn", self.slo.last_success.warn), ("page", self.slo.last_success.page))
        return [(level, mark) for level, mark in marks if mark is not None and now > self.since + mark]


def promises(connection: Connection) -> list[Promise]:
    """Give what the applied policies promise."""
    found = []
    done = {(row.policy, row.site): row.at_us for row in connection.execute(select(successes))}
    for row in connection.execute(select(policies).where(policies.c.slo.is_not(None)).order_by(policies.c.policy)):
        for site in json.loads(row.sites):
            at = done.get((row.policy, site))
            last = None if at is None else _moment(at)
            since = max(_moment(row.promised_us), last) if last is not None else _moment(row.promised_us)
            found.append(Promise(row.policy, site, Slo.model_validate_json(row.slo), last, since))
    return found


class Watch:
    """Looks again and again; what it finds is recorded once, whoever looks."""

    def __init__(self, log: AuditLog, outbox: Outbox, targets: Targets) -> None:
        self._log = log
        self._outbox = outbox
        self._targets = targets
        self._told: set[str] = set()

    def look(self) -> None:
        """Record the policies that are late, and remind of approvals; may raise NotHeld, and what the audit raises."""
        with self._outbox.holding() as connection:
            now = now_us(connection)
            self._remind(connection, now)
            found = promises(connection)
        records = [record for promise in found for record in _late(promise, _moment(now))]
        new = [record for record in records if record.key not in self._told]
        if new:
            self._log.append_many(new)
        self._told = {record.key for record in records}

    def _remind(self, connection: Connection, now: int) -> None:
        waiting = connection.execute(select(runs).where(runs.c.expires_us > now, runs.c.reminded.is_(False))).all()
        for run in waiting:
            if now < run.asked_us + REMINDED_AT * (run.expires_us - run.asked_us):
                continue
            notice = _reminder(run.run, run.policy, _moment(run.expires_us), run.asked_us, _moment(now))
            put(connection, notice, self._targets.routed(notice, hearers_of(run.notify)), now)
            connection.execute(update(runs).where(runs.c.run == run.run).values(reminded=True))


def _late(promise: Promise, now: datetime) -> list[AuditRecord]:
    records = []
    for level, mark in promise.late(now):
        since = promise.since.isoformat()
        body = {
            "policy": promise.policy,
            "site": promise.site,
            "level": level,
            "mark": duration_text(mark),
            "last_success": None if promise.last_success is None else promise.last_success.isoformat(),
            "since": since,
        }
        key = f"late/{promise.policy}/{promise.site}/{level}/{duration_text(mark)}/{since}"
        records.append(AuditRecord(event=Event.POLICY_LATE, actor="engine", key=key, body=body))
    return records


def _reminder(run: str, policy: str, expires: datetime, asked_us: int, now: datetime) -> Notice:
    text = (
        f"Run {run} of {policy} still waits for a person to agree to its plan, until {expires:%Y-%m-%d %H:%M} UTC; "
        f"then it ends without moving anything.\n`orchestrator approve {run}`"
    )
    return Notice(
        key=f"{run}/approval.reminder/{asked_us}",
        kind=Kind.APPROVAL,
        urgency=Urgency.URGENT,
        group=f"{Kind.APPROVAL}/reminder/{policy}",
        title=f"{policy}: approval still wanted",
        text=text,
        at=now,
        policy=policy,
        run=run,
    )


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)
