"""Holds: what somebody has paused or frozen, as the audit tells it; nothing begins that a standing hold covers."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, Stored
from workflows.policy import Policy

MOST_NOTE = 500
"""Characters of a note: it is told again with every start that it holds back."""

_PAGE = 1000
_NOT_ON_A_LINE = ("Cc", "Cs", "Zl", "Zp")


class BadNote(Exception):
    """A reason, or the scope of a freeze, cannot be told on one line: the text says why."""


@dataclass(frozen=True)
class Hold:
    """One hold: a paused policy, or a freeze of all that its site and label cover."""

    number: int
    kind: Literal["pause", "freeze"]
    policy: str | None
    site: str | None
    label: tuple[str, str] | None
    reason: str
    actor: str
    since: datetime

    def covers(self, policy: str, site: str | None, labels: Mapping[str, str]) -> bool:
        """Tell whether a policy at a site is held; without a site it is asked whether any of its sites may be."""
        return (
            self.policy in (None, policy)
            and (self.site is None or site is None or self.site == site)
            and (self.label is None or labels.get(self.label[0]) == self.label[1])
        )

    @property
    def remedy(self) -> str:
        """The command that lifts it."""
        return f"orchestrator resume {self.policy}" if self.kind == "pause" else f"orchestrator thaw {self.number}"

    @property
    def scope(self) -> str:
        """What it covers, in words."""
        parts = [f"policy {self.policy}"] if self.policy else []
        parts += [f"site {self.site}"] if self.site else []
        parts += ["label {}={}".format(*self.label)] if self.label else []
        return ", ".join(parts) or "all"

    def __str__(self) -> str:
        verb = "paused" if self.kind == "pause" else "froze"
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} {verb} {self.scope} at {self.since:%Y-%m-%d %H:%M} UTC{why}"


def held_by(holds: Iterable[Hold], policy: str, site: str | None, labels: Mapping[str, str]) -> Hold | None:
    """Give the first hold that covers a policy at a site, if there is one."""
    return next((hold for hold in holds if hold.covers(policy, site, labels)), None)


def over(holds: Iterable[Hold], policy: Policy) -> list[Hold]:
    """Give the holds that cover a policy at one of its sites."""
    return [hold for hold in holds if any(hold.covers(policy.name, site, policy.labels) for site in policy.all_sites)]


class Holds:
    """Reads and writes holds; the audit's own order decides between two people at once.

    Every call may raise AuditUnavailable (try again) or WrongDatabase (fix it).
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def standing(self) -> list[Hold]:
        """Give the holds that nobody has lifted, the oldest first."""
        if not self._log.is_there():
            return []
        lifted = {record.body["hold"] for record in self._all(Event.HOLD_LIFTED)}
        return [_hold(record) for record in self._all(Event.HOLD_SET) if record.seq not in lifted]

    def ever(self) -> list[tuple[Hold, datetime | None]]:
        """Give all holds that there ever were, each with the moment at which it was lifted, the oldest first."""
        if not self._log.is_there():
            return []
        lifted = {record.body["hold"]: record.at for record in self._all(Event.HOLD_LIFTED)}
        found = []
        for record in self._all(Event.HOLD_SET):
            at = lifted.get(record.seq)
            found.append((_hold(record), None if at is None else datetime.fromisoformat(at)))
        return found

    def find(self, number: int) -> Hold | None:
        """Give a hold by its number, whether it still stands or not."""
        if not self._log.is_there():
            return None
        return next(
            (
                _hold(record)
                for record in self._log.records(event=Event.HOLD_SET, after=number - 1, limit=1)
                if record.seq == number
            ),
            None,
        )

    def put(
        self,
        kind: Literal["pause", "freeze"],
        *,
        actor: str,
        reason: str,
        key: str,
        policy: str | None = None,
        site: str | None = None,
        label: tuple[str, str] | None = None,
    ) -> Hold:
        """Set a hold, once under its key. Raises BadNote."""
        check_note(reason)
        for text in (policy, site, *(label or ())):
            check_note(text or "", "a name")
        body = {
            "kind": kind,
            "policy": policy,
            "site": site,
            "label": None if label is None else list(label),
            "reason": reason,
        }
        return _hold(self._log.append(AuditRecord(event=Event.HOLD_SET, actor=actor, key=f"hold/{key}", body=body)))

    def lift(self, hold: Hold, *, actor: str, reason: str) -> None:
        """Lift a hold; one that is lifted already stays so. Raises BadNote."""
        check_note(reason)
        body = {"hold": hold.number, "kind": hold.kind, "scope": hold.scope, "reason": reason}
        key = f"hold/{hold.number}/lifted"
        self._log.append(AuditRecord(event=Event.HOLD_LIFTED, actor=actor, key=key, body=body))

    def _all(self, event: Event) -> list[Stored]:
        found: list[Stored] = []
        while True:
            page = self._log.records(event=event, after=found[-1].seq if found else 0, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found


def check_note(text: str, what: str = "a reason") -> None:
    """Raise BadNote when a text is too long, or no line of text."""
    if len(text) > MOST_NOTE:
        raise BadNote(f"{what} has at most {MOST_NOTE} characters; this one has {len(text):,}: say it shorter")
    bad = next((one for one in text if unicodedata.category(one) in _NOT_ON_A_LINE), None)
    if bad is not None:
        raise BadNote(f"{what} is one line of text; this one has {bad!a} in it")


def _hold(record: Stored) -> Hold:
    body = record.body
    return Hold(
        number=record.seq,
        kind=body["kind"],
        policy=body["policy"],
        site=body["site"],
        label=tuple(body["label"]) if body["label"] else None,
        reason=body["reason"],
        actor=record.actor,
        since=datetime.fromisoformat(record.at),
    )
