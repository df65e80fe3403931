"""How fast a run may begin batches: its rate, as debts that time pays off, and its breaker.

A batch is charged with the files and bytes that were sent, and the next begins when nothing is owed any more. So over
any stretch of time no more is begun than the rate allows for it and one batch.
"""

from datetime import datetime, timedelta

from workflows.adapting import Adapted, Adapting, Between, SlotsStep
from workflows.breaking import BreakerChange, BreakerState, BreakerSwitch, Tried
from workflows.payload import Payload
from workflows.plan import OutcomeCounts
from workflows.retrying import Breaker
from workflows.running import Rate

MINUTE = timedelta(minutes=1)
LONGEST_DEBT = timedelta(days=3650)
"""Nobody waits longer than that for a rate, however small it is: no calendar reaches everywhere."""


class Debt(Payload):
    """What is owed of one kind since a moment; time pays it off at the rate that holds."""

    owed: float = 0.0
    since: datetime | None = None


class PaceState(Payload):
    """What is handed from the segment that has nothing left to begin to the next."""

    files: Debt = Debt()
    bytes: Debt = Debt()
    jobs: Debt = Debt()
    breaker: BreakerState = BreakerState()
    adapted: Adapted = Adapted()


class Note(Payload):
    """What a segment that begins nothing more still learns: files and bytes that were sent, and how a batch ended."""

    files: int = 0
    bytes: int = 0
    tried: Tried | None = None


class Pace:
    """Tells whether one more batch may begin, and when to ask again."""

    def __init__(
        self, breaker: Breaker | None, rate: Rate | None, state: PaceState, bounds: Between | None = None
    ) -> None:
        self.adapting = Adapting(bounds, state.adapted)
        self.breaker = BreakerSwitch(breaker, state.breaker)
        self._debts = {"files": state.files, "bytes": state.bytes, "jobs": state.jobs}
        self._rate = rate
        self._unsent = 0

    @property
    def state(self) -> PaceState:
        """All of it, to be handed over."""
        return PaceState(breaker=self.breaker.state, adapted=self.adapting.state, **self._debts)

    @property
    def counts(self) -> bool:
        """Tell whether anybody wants to know what is sent and how it ends."""
        return bool(self.breaker) or bool(self.adapting) or self._rate is not None

    @property
    def awaits_cost(self) -> bool:
        """Tell whether a batch that was begun is not charged yet, and shall be."""
        return self._unsent > 0 and self._limited

    def steer(self, rate: Rate | None, resumes: int, now: datetime) -> None:
        """Take the rate that holds from now on; what is owed of a kind that is not limited any more is forgotten."""
        self._settle(now)
        self._rate = rate
        for kind in self._debts:
            if self._limit(kind) is None:
                self._debts[kind] = Debt()
        self.breaker.hear(resumes, now)

    def lets_begin(self, now: datetime) -> bool:
        """Tell whether one more batch may begin."""
        if not self.breaker.lets_begin():
            return False
        if self.awaits_cost:
            return False  # What the batch before costs is known when it has been sent.
        due = self._due()
        return due is None or now >= due

    def wakes_at(self) -> datetime | None:
        """When time alone may let the next batch begin; None where something else must happen first."""
        if not self.breaker.lets_begin():
            return self.breaker.wakes_at
        return None if self.awaits_cost else self._due()

    def tick(self, now: datetime) -> None:
        """Act on what time alone changes."""
        self.breaker.tick(now)

    def begun(self, now: datetime) -> int:
        """Count a batch that begins; gives its era."""
        self._unsent += 1
        self._charge("jobs", 1, now)
        return self.breaker.begun()

    def sent(self, files: int, size: int, now: datetime) -> None:
        """Charge what a batch that was begun really sends."""
        self._unsent -= 1
        self.charge(files, size, now)

    def charge(self, files: int, size: int, now: datetime) -> None:
        """Charge what is sent although it was not this pace that began it."""
        self._charge("files", files, now)
        self._charge("bytes", size, now)

    def ended(self, tried: Tried, slots: int, now: datetime) -> None:
        """Take how a batch ended."""
        self.breaker.ended(tried, slots, now)
        if tried.job is not None:
            self.adapting.ended(tried.job, now)

    def hear(self, notes: tuple[Note, ...], slots: int, now: datetime) -> None:
        """Take what a segment before this one still learned."""
        for note in notes:
            self.charge(note.files, note.bytes, now)
            if note.tried is not None:
                self.ended(note.tried, slots, now)

    def changes(self) -> list[BreakerChange]:
        """Give the breaker's changes that nobody has been told of yet."""
        told, self.breaker.changes = self.breaker.changes, []
        return told

    def steps(self) -> list[SlotsStep]:
        """Give the steps of the concurrency that nobody has been told of yet."""
        told, self.adapting.steps = self.adapting.steps, []
        return told

    @property
    def _limited(self) -> bool:
        return self._limit("files") is not None or self._limit("bytes") is not None

    def _limit(self, kind: str) -> int | None:
        found: int | None = getattr(self._rate, f"{kind}_per_minute", None)
        return found

    def _due(self) -> datetime | None:
        moments = [moment for kind in self._debts if (moment := self._paid_at(kind)) is not None]
        return max(moments) if moments else None

    def _paid_at(self, kind: str) -> datetime | None:
        debt, limit = self._debts[kind], self._limit(kind)
        if limit is None or debt.since is None or debt.owed <= 0:
            return None
        return debt.since + MINUTE * min(debt.owed / limit, LONGEST_DEBT / MINUTE)

    def _charge(self, kind: str, amount: int, now: datetime) -> None:
        if self._limit(kind) is None or not amount:
            return
        self._settle(now)
        self._debts[kind] = Debt(owed=self._debts[kind].owed + amount, since=now)

    def _settle(self, now: datetime) -> None:
        """Pay off what the time since the last change pays at the rate that held."""
        for kind, debt in self._debts.items():
            paid_at, limit = self._paid_at(kind), self._limit(kind)
            if paid_at is None or limit is None or debt.since is None or now >= paid_at:
                self._debts[kind] = Debt()
            else:
                self._debts[kind] = Debt(owed=debt.owed - limit * ((now - debt.since) / MINUTE), since=now)


def tried_in(counts: OutcomeCounts, tried: Tried) -> Tried:
    """Take out of a batch's counts what says something of the target."""
    return tried.model_copy(update={"done": counts.done, "failed": sum(counts.failed.values())})
