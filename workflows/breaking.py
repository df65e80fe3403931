"""The breaker of a run: when too much fails nothing more is sent; after a while one batch tries, then more."""

from datetime import datetime
from enum import StrEnum

from workflows.adapting import Job
from workflows.payload import Payload
from workflows.retrying import Breaker

LOOKS_BACK = 10
"""The share of failures is that of the last batches: so many groups of them, each a tenth of `after_files` or more."""


class Stand(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    RAMPING = "ramping"


class Tried(Payload):
    """How the files of one batch ended that the Hub tried; `era` is when it was begun, in openings of the breaker.

    `trial` is the same for a concurrency that adapts, which also wants to know how its `job` went.
    """

    era: int = 0
    done: int = 0
    failed: int = 0
    trial: int = 0
    job: Job | None = None

    @property
    def files(self) -> int:
        """Those that say something of the target."""
        return self.done + self.failed


class BreakerState(Payload):
    """All that the breaker remembers; handed from segment to segment.

    `groups` are (tried, failed) of the last batches, `jobs` how many failed altogether in a row and `files` how many
    files these had, `out` how many batches of this era are under way, `may` how many of them there may be at once while
    it ramps up, `good` how many of them went well since, and `heard` how often a person has said that it shall be tried
    now.
    """

    stand: Stand = Stand.CLOSED
    groups: tuple[tuple[int, int], ...] = ()
    jobs: int = 0
    files: int = 0
    era: int = 0
    out: int = 0
    may: int = 0
    good: int = 0
    since: datetime | None = None
    probe_at: datetime | None = None
    heard: int = 0


class BreakerChange(Payload):
    """That the breaker stands otherwise now, since when and why; the numbers are those that it was decided by."""

    stand: Stand
    at: datetime
    why: str
    files: int = 0
    failed: int = 0
    jobs: int = 0
    probe_at: datetime | None = None
    since: datetime | None = None

    def may_try(self, now: datetime) -> bool:
        """Tell whether it is time for one batch to try, by the breaker's own rule."""
        return self.probe_at is not None and now >= self.probe_at


class BreakerSwitch:
    """Holds the breaker's state and the changes that nobody has been told of yet."""

    def __init__(self, breaker: Breaker | None, state: BreakerState) -> None:
        self.state = state
        self.changes: list[BreakerChange] = []
        self._breaker = breaker

    def __bool__(self) -> bool:
        return self._breaker is not None

    @property
    def wakes_at(self) -> datetime | None:
        """When an open breaker lets one batch try by itself."""
        return self.state.probe_at if self.state.stand is Stand.OPEN else None

    def lets_begin(self) -> bool:
        """Tell whether one more batch may be begun."""
        if not self or self.state.stand is Stand.CLOSED:
            return True
        return self.state.stand is not Stand.OPEN and self.state.out < self.state.may

    def tick(self, now: datetime) -> None:
        """Let one batch try when it is time."""
        probe_at = self.wakes_at
        if self and probe_at is not None and now >= probe_at:
            self._probe(now, "one batch is tried")

    def hear(self, resumes: int, now: datetime) -> None:
        """Let one batch try now when a person has said so since the last time; counted, so that none is lost."""
        if self and resumes > self.state.heard:
            self._set(heard=resumes)
            if self.state.stand is Stand.OPEN:
                self._probe(now, "a person resumed: one batch is tried")

    def lets_again(self, era: int) -> bool:
        """Tell whether a batch may be sent again that was begun in an era; the breaker may have opened since."""
        return era == self.state.era or self.lets_begin()

    def begun(self) -> int:
        """Count a batch, and give the era that its end must be told with."""
        if self:
            self._set(out=self.state.out + 1)
        return self.state.era

    def ended(self, tried: Tried, slots: int, now: datetime) -> None:
        """Take how a batch ended; one that was begun before the breaker opened says nothing of the target now."""
        if self._breaker is None or tried.era != self.state.era:
            return
        self._set(out=max(0, self.state.out - 1))
        if not tried.files:
            return
        if self.state.stand is Stand.CLOSED:
            self._look_back(tried, now)
        elif self._is_bad(tried):
            self._open(f"{_share(tried.failed, tried.files)} of the batch that was tried failed", (tried,), now)
        else:
            self._ramp(tried, slots, now)

    def _look_back(self, tried: Tried, now: datetime) -> None:
        assert self._breaker is not None
        stop_at = self._breaker.stop_at
        # Rounded up: ten groups must hold `after_files`, or the share would never be looked at.
        groups = _with(self.state.groups, tried, max(1, -(-stop_at.after_files // LOOKS_BACK)))
        jobs, in_a_row = (0, 0) if tried.done else (self.state.jobs + 1, self.state.files + tried.failed)
        self._set(groups=groups, jobs=jobs, files=in_a_row)
        files, failed = sum(one for one, _ in groups), sum(one for _, one in groups)
        if stop_at.percent is not None and files >= stop_at.after_files and failed * 100 >= stop_at.percent * files:
            self._open(f"{_share(failed, files)} of the last {files:,} files failed", (), now, files, failed)
        elif stop_at.percent is not None and in_a_row >= stop_at.after_files:
            # What fails altogether is not diluted by what went well before.
            self._open(f"the last {in_a_row:,} files all failed", (), now, in_a_row, in_a_row)
        elif stop_at.consecutive_jobs is not None and self.state.jobs >= stop_at.consecutive_jobs:
            self._open(f"{self.state.jobs} jobs in a row failed altogether", (), now, files, failed)

    def _is_bad(self, tried: Tried) -> bool:
        assert self._breaker is not None
        percent = self._breaker.stop_at.percent
        return not tried.done or (percent is not None and tried.failed * 100 >= percent * tried.files)

    def _open(self, why: str, batches: tuple[Tried, ...], now: datetime, files: int = 0, failed: int = 0) -> None:
        assert self._breaker is not None
        files += sum(one.files for one in batches)
        failed += sum(one.failed for one in batches)
        probe_at = None if self._breaker.probe is None else now + self._breaker.probe
        since = self.state.since or now
        self._change(Stand.OPEN, why, now, files=files, failed=failed, jobs=self.state.jobs, probe_at=probe_at)
        self._set(
            era=self.state.era + 1, out=0, may=0, good=0, groups=(), jobs=0, files=0, since=since, probe_at=probe_at
        )

    def _probe(self, now: datetime, why: str) -> None:
        self._change(Stand.PROBING, why, now)
        self._set(may=1, out=0, probe_at=None)

    def _ramp(self, tried: Tried, slots: int, now: datetime) -> None:
        good = self.state.good + 1
        if good < self.state.may:
            self._set(good=good)
        elif self.state.may * 2 < slots:
            if self.state.stand is Stand.PROBING:
                self._change(Stand.RAMPING, "the batch that was tried went well", now, files=tried.files)
            self._set(may=self.state.may * 2, good=0)
        else:
            self._change(Stand.CLOSED, "what was tried went well", now)
            self._set(may=0, good=0, out=0, since=None, probe_at=None)

    def _change(self, stand: Stand, why: str, now: datetime, **numbers: object) -> None:
        since = self.state.since or now
        self.changes.append(BreakerChange.model_validate(dict(stand=stand, at=now, why=why, since=since, **numbers)))
        self._set(stand=stand)

    def _set(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)


def _with(groups: tuple[tuple[int, int], ...], tried: Tried, least: int) -> tuple[tuple[int, int], ...]:
    """Add a batch to the groups: small batches share one, and the oldest group goes when there are enough."""
    if groups and groups[-1][0] < least:
        *before, (files, failed) = groups
        return (*before, (files + tried.files, failed + tried.failed))
    return (*groups, (tried.files, tried.failed))[-LOOKS_BACK - 1 :]


def _share(failed: int, files: int) -> str:
    return f"{failed * 100 / files:.0f}%"
