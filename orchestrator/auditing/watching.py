"""The chain under a lasting watch: what is new is verified at each look, and all else again and again, a part a look.

For a page that shows whether the audit is whole: a look costs what was written since the last one and a bounded part
of the old records. What is altered anywhere is found when the watch comes by, at the latest after one full turn; a
chain that somebody wrote anew is found at once, since the watch remembers the hash up to which it had verified.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock

from activities.ledger.log import AuditLog
from activities.ledger.verdict import BEGINNING, Verdict

AT_ONCE = 20_000
"""Old records that one look verifies again: about a quarter of a second."""


@dataclass(frozen=True)
class Watched:
    """What the watch knows: the verdict, when it looked last, and when the whole chain was last gone through."""

    verdict: Verdict
    looked: datetime
    whole: datetime | None = None
    again: int = 0


class ChainWatch:
    """Watches the chain of one audit; may be asked from many threads.

    A break stays until a full walk finds none, and the record up to which the watch had verified is what it was.
    """

    def __init__(self, log: AuditLog, *, at_once: int = AT_ONCE) -> None:
        self._log = log
        self._at_once = at_once
        self._looking = Lock()
        self._known: Watched | None = None
        self._head = BEGINNING
        self._again = BEGINNING
        self._turn_began: datetime | None = None

    @property
    def known(self) -> Watched | None:
        """What the last look found, without looking; None before the first one."""
        return self._known

    def look(self) -> Watched:
        """Verify what is new and the next part of what is old; may raise AuditUnavailable."""
        with self._looking:
            now = datetime.now(UTC)
            if self._known is None or not self._known.verdict.ok:
                return self._walk(now)
            verdict = self._log.verify(self._head)
            if not verdict.ok:
                return self._broken(verdict, now)
            self._head = verdict.count, verdict.head
            return self._look_again(verdict, now)

    def full(self) -> Watched:
        """Verify every record now."""
        with self._looking:
            return self._walk(datetime.now(UTC))

    def _walk(self, now: datetime) -> Watched:
        verdict = self._log.verify()
        if not verdict.ok:
            return self._broken(verdict, now)
        if self._head != BEGINNING:
            remembered = self._log.verify(self._head, most=0)
            if not remembered.ok:
                return self._broken(remembered, now)
        self._head, self._again, self._turn_began = (verdict.count, verdict.head), BEGINNING, None
        self._known = Watched(verdict, now, whole=now, again=0)
        return self._known

    def _look_again(self, verdict: Verdict, now: datetime) -> Watched:
        assert self._known is not None
        if self._again == BEGINNING:
            self._turn_began = now
        part = self._log.verify(self._again, most=self._at_once)
        if not part.ok:
            return self._broken(part, now)
        self._again = part.count, part.head
        known = replace(self._known, verdict=verdict, looked=now, again=part.count)
        if part.count >= verdict.count:
            known = replace(known, whole=self._turn_began, again=0)
            self._again = BEGINNING
        self._known = known
        return known

    def _broken(self, verdict: Verdict, now: datetime) -> Watched:
        whole = None if self._known is None else self._known.whole
        self._known = Watched(verdict, now, whole=whole)
        return self._known
