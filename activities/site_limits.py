"""Limits: how many jobs all runs together may have in flight at a site, as the audit tells who said so and why."""

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


@dataclass(frozen=True)
class SiteLimit:
    """The jobs that may be in flight at a site; None lifts what was said before."""

    site: str
    jobs: int | None
    actor: str
    reason: str
    since: datetime

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.actor} allows {self.jobs} at a time at site {self.site}{why}"


class SiteLimits:
    """Reads and writes limits; the last word for a site holds."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._read = float("-inf")
        self._known: dict[str, SiteLimit] = {}

    def standing(self) -> dict[str, SiteLimit]:
        """Give the limits that hold, by their site. May raise AuditUnavailable or WrongDatabase."""
        if not self._log.is_there():
            return {}
        found: dict[str, SiteLimit] = {}
        after = 0
        while page := self._log.records(event=Event.LIMIT_SET, after=after, limit=_PAGE):
            found |= {record.body["site"]: _limit(record) for record in page}
            after = page[-1].seq
        return {site: limit for site, limit in sorted(found.items()) if limit.jobs is not None}

    async def at(self, site: str) -> SiteLimit | None:
        """Give the limit of a site as it was a moment ago; what was read last holds while the audit is away."""
        if time.monotonic() - self._read > FRESH_FOR:
            try:
                self._known = await asyncio.to_thread(self.standing)
            except AuditUnavailable:
                if self._read == float("-inf"):
                    raise
            self._read = time.monotonic()
        return self._known.get(site)

    def put(self, site: str, jobs: int | None, *, actor: str, reason: str, key: str) -> SiteLimit:
        """Say how many jobs may be in flight at a site, once under a key. Raises BadNote."""
        check_note(reason)
        check_note(site, "a name")
        body = {"site": site, "jobs": jobs, "reason": reason}
        return _limit(self._log.append(AuditRecord(event=Event.LIMIT_SET, actor=actor, key=f"limit/{key}", body=body)))


def _limit(record: Stored) -> SiteLimit:
    body = record.body
    return SiteLimit(body["site"], body["jobs"], record.actor, body["reason"], datetime.fromisoformat(record.at))
