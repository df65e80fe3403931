"""JobLimits: how many jobs all runs together may have in flight at a site, a queue or a target, who said so and why.

Several may cover a job; each counts by itself, so that the strictest wins.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

from activities.holds import check_note
from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord, AuditUnavailable, Stored

FRESH_FOR = 1.0
"""Seconds for which a worker goes by what it read last: a change is in effect soon, and costs little until then."""
_PAGE = 1000


@dataclass(frozen=True, order=True)
class Lane:
    """Where jobs go: a queue of a site, a target; what is empty is any, or not known."""

    site: str = ""
    queue: str = ""
    target: str = ""

    def covers(self, other: "Lane") -> bool:
        """Tell whether all of this one holds for another."""
        return all(mine in ("", theirs) for mine, theirs in zip(self._words(), other._words(), strict=True))

    def _words(self) -> tuple[str, str, str]:
        return self.site, self.queue, self.target

    def __str__(self) -> str:
        kinds = ("target", self.target), ("queue", self.queue), ("site", self.site)
        return " of ".join(f"{kind} {name}" for kind, name in kinds if name)


@dataclass(frozen=True)
class Limit:
    """The jobs that may be in flight in a lane; None lifts what was said before."""

    lane: Lane
    jobs: int | None
    actor: str
    reason: str
    since: datetime

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} allows {self.jobs} at a time at {self.lane}{why}"


class JobLimits:
    """Reads and writes limits; the last word for a lane holds."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._read = float("-inf")
        self._known: tuple[Limit, ...] = ()

    def standing(self) -> tuple[Limit, ...]:
        """Give the limits that hold, by their lane. May raise AuditUnavailable or WrongDatabase."""
        if not self._log.is_there():
            return ()
        found: dict[Lane, Limit] = {}
        after = 0
        while page := self._log.records(event=Event.LIMIT_SET, after=after, limit=_PAGE):
            for limit in map(_limit, page):
                found[limit.lane] = limit
            after = page[-1].seq
        return tuple(limit for _, limit in sorted(found.items()) if limit.jobs is not None)

    async def on(self, lane: Lane) -> tuple[Limit, ...]:
        """Give the limits of a lane as they were a moment ago; what was read last holds while the audit is away."""
        if time.monotonic() - self._read > FRESH_FOR:
            try:
                self._known = await asyncio.to_thread(self.standing)
            except AuditUnavailable:
                if self._read == float("-inf"):
                    raise
            self._read = time.monotonic()
        return tuple(limit for limit in self._known if limit.lane.covers(lane))

    def put(self, lane: Lane, jobs: int | None, *, actor: str, reason: str, key: str) -> Limit:
        """Say how many jobs may be in flight in a lane, once under a key. Raises BadNote."""
        check_note(reason)
        body: dict[str, object] = {"site": lane.site, "queue": lane.queue, "target": lane.target}
        for name in body.values():
            check_note(str(name), "a name")
        body |= {"jobs": jobs, "reason": reason}
        return _limit(self._log.append(AuditRecord(event=Event.LIMIT_SET, actor=actor, key=f"limit/{key}", body=body)))


def _limit(record: Stored) -> Limit:
    body = record.body
    lane = Lane(body["site"], body.get("queue", ""), body.get("target", ""))
    return Limit(lane, body["jobs"], record.actor, body["reason"], datetime.fromisoformat(record.at))
