"""When a run may end, as a range: its own jobs, drawn again and again, do the rest of its work on a clock with windows.

The method. What a slot spent on each job of this run is known: from the moment at which the slot was free to the job's
end. These times are drawn again (a moving block bootstrap: Kuensch 1989, "The jackknife and the bootstrap for general
stationary observations"), and each draw works through what is left: the slots that there are, the jobs in flight with
their age, the windows, the rates, the waits of the retry ladder. The range holds every end that was drawn.

Three things would make it lie. Soon after the start only short jobs have ended: the ones in flight count with what
they will last, given that they last longer than they have (a log-normal law fitted to both). Few jobs say little: the
range is widened as Student's t is wider than the normal law. And speed changes: half of the draws look at the latest
jobs only. How often the range held and how wide it was: `python -m benchmarks.eta`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from orchestrator.reporting.clock import Clock, Seconds

FEWEST = 3
"""With fewer jobs that ended nothing is said."""
MOST = 500
"""So many of the latest jobs are looked at."""

_DRAWS = 400
_Z = 2.5758293035489004
_EXACT = 1000
_ENOUGH = 30
"""With so many longer jobs a job in flight lasts as one of them does; with fewer a fitted law says how long."""
_SHARES = np.linspace(0.0005, 0.9995, 1000)
_NORMAL = np.array([NormalDist().inv_cdf(share) for share in _SHARES])
_LATEST = 3
"""The latest third of the jobs counts as the latest ones."""
_LATELY = 60.0
_ALL_ALONG = 1.3
"""The range is asked for again and again, and shall hold each time."""
_SLACK = 1.0
_SLACK_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class PastJob:
    """A job that ended: when the Hub took it and when its end was settled, in seconds since the epoch."""

    submitted: float
    ended: float
    files: int = 0
    bytes: int = 0
    round: int = 1


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rounds that may follow: files that will have failed, the files of a batch, the wait before each round."""

    files: int
    batch_files: int
    waits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left at a moment: slots, the age of each job in flight, batches that were not begun, and what follows.

    `spacing` are the seconds from the start of one batch to that of the next that a rate asks for; `starts` is the
    moment before which nothing begins; `goes_on` says that a job in flight does not heed the close of a window.
    """

    now: float
    slots: int
    in_flight: tuple[float, ...]
    batches: int
    ladder: Ladder | None = None
    spacing: float = 0.0
    starts: float = 0.0
    goes_on: bool = True
    closing: float = 0.0
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Eta:
    """The range in which the run ends, and the middle of the ends; infinity where no open window is known."""

    start: float
    likely: float
    end: float


def estimate(past: Sequence[PastJob], rest: Rest, clock: Clock, was: Clock | None = None) -> Eta | None:
    """Give the range of the end; None where too few jobs have ended to say anything.

    `clock` is open when something may be sent; `was` is the same for what is over, pauses included.
    """
    past = sorted(past, key=lambda job: job.ended)[-MOST:]
    if len(past) < FEWEST:
        return None
    rng = np.random.default_rng(20_260_101)
    rest = replace(rest, slots=used_slots(past, rest, was or clock))
    spent = slot_times(past, was or clock, spacing=rest.spacing, goes_on=rest.goes_on)
    lasts = _lasting(np.array(rest.in_flight, dtype=np.float64), spent, rng)
    pools = _drawn_again(spent, lasts, rng)
    work = _Work(rest, clock, pools, rng)
    with np.errstate(invalid="ignore"):  # Where no window is left that anybody knows, no end is: `_range` says so.
        return _end(work, lasts, rest, clock, len(past))


def _end(work: "_Work", lasts: Seconds, rest: Rest, clock: Clock, jobs: int) -> Eta | None:
    ends = work.through(np.maximum(lasts - np.array(rest.in_flight), 0.0) if rest.in_flight else lasts, rest.batches)
    if rest.ladder is not None:
        ends = _climb(work, rest.ladder, ends)
    return _range(ends, rest, clock, jobs)


def used_slots(past: Sequence[PastJob], rest: Rest, clock: Clock) -> int:
    """Give how many slots do work: those that there are, or the most that were used lately where some stay empty.

    Limits of the site or of other runs keep slots empty; a rate, a pause, a closed window or an end in sight do not
    count.
    """
    lately = 2 * float(np.median([job.ended - job.submitted for job in past[-100:]])) + _LATELY
    since = rest.now - lately
    if (
        rest.spacing
        or len(rest.in_flight) >= rest.slots
        or not rest.batches
        or clock.elapsed(since, rest.now) < 0.99 * lately
    ):
        return rest.slots
    changes = [(rest.now - age, 1) for age in rest.in_flight]
    for job in past:
        if job.ended >= since:
            changes += [(job.submitted, 1), (job.ended, -1)]
    at_once, most = 0, 0
    for at, change in sorted(changes):
        at_once += change
        most = max(most, at_once) if at >= since or change > 0 else most
    return min(rest.slots, most) or rest.slots


def slot_times(past: Sequence[PastJob], clock: Clock, *, spacing: float = 0.0, goes_on: bool = True) -> Seconds:
    """Give what a slot spent on each job: the job itself, and the time before it in which the slot was free already.

    Whoever was freed last takes the next job, so that slots which were taken away are never waited for. Where a job
    came as soon as the rate let it, the free time before it is the rate's: then what is usual elsewhere counts.
    """
    starts = [(job.submitted, 1, index) for index, job in enumerate(past)]
    free: list[float] = []
    gaps: dict[int, float] = {}
    rated, before, on = set(), float("-inf"), 0
    for at, is_start, index in sorted(starts + [(job.ended, 0, -1) for job in past]):
        if not is_start:
            free.append(at)
            continue
        if past[index].round > on:  # A round waits for the last job of the one before, and for its time.
            on = past[index].round
            free.clear()
        if free:
            gaps[index] = clock.elapsed(free.pop(), at)
        if spacing and clock.elapsed(max(before, at - 10 * spacing), at) <= 1.1 * spacing:
            rated.add(index)
        before = at
    others = [gap for index, gap in gaps.items() if index not in rated]
    lowest = float(np.quantile(list(gaps.values()), 0.1)) if gaps else 0.0
    usual = float(np.median(others)) if len(others) >= FEWEST else lowest
    found = [
        (job.ended - job.submitted if goes_on else clock.elapsed(job.submitted, job.ended))
        + (usual if index in rated else gaps.get(index, usual))
        for index, job in enumerate(past)
    ]
    return np.maximum(np.array(found, dtype=np.float64), 1e-3)


class _Work:
    """Works through batches with slots; every row is one draw, times are seconds since the epoch.

    Where jobs stop at the close of a window, its times are readings of the clock instead.
    """

    def __init__(self, rest: Rest, clock: Clock, pools: Seconds, rng: np.random.Generator) -> None:
        self._rest = rest
        self._by_clock = clock.stops and not rest.goes_on
        self._clock = clock
        self._pools = pools
        self._rng = rng
        self._block = _block(pools.shape[1])

    def through(self, left_in_flight: Seconds, batches: int, since: Seconds | None = None) -> Seconds:
        """Give the moment at which the last of them ended, for each draw."""
        rest, draws = self._rest, len(self._pools)
        start = np.full(draws, max(rest.now, rest.starts)) if since is None else since
        now = np.full(draws, rest.now) if since is None else since
        start, now = self._to_time(start), self._to_time(now)
        ends = now[:, None] + left_in_flight if left_in_flight.size else np.empty((draws, 0))
        if not batches:
            return self._to_moment(ends.max(axis=1) if ends.size else now)
        free = self._slots(ends, start, batches)
        bulk = max(0, batches - max(_EXACT, 4 * free.shape[1]))
        if bulk:
            free = self._after_many(free, bulk)
        last = np.maximum(free.max(axis=1), ends.max(axis=1) if ends.size and not bulk else now)
        sent = self._begins(free.min(axis=1)) - rest.spacing
        rows = np.arange(draws)
        for spent in self._draw(batches - bulk).T:
            slot = free.argmin(axis=1)
            sent = self._begins(np.maximum(np.maximum(free[rows, slot], start), sent + rest.spacing))
            free[rows, slot] = sent + spent
            last = np.maximum(last, free[rows, slot])
        return self._to_moment(last)

    def _slots(self, ends: Seconds, start: Seconds, batches: int) -> Seconds:
        """Give when each slot is free; where there are fewer slots than jobs, the first that end give theirs up."""
        slots = max(1, self._rest.slots)
        ends = np.sort(ends, axis=1)[:, max(0, ends.shape[1] - slots) :]
        idle = min(slots, ends.shape[1] + batches) - ends.shape[1]
        return np.concatenate([ends, np.repeat(start[:, None], max(0, idle), axis=1)], axis=1)

    def _after_many(self, free: Seconds, batches: int) -> Seconds:
        """Move every slot on by so many batches at once: their sum is normal, whatever each one is."""
        means, slots = self._pools.mean(axis=1), free.shape[1]
        deviation = self._pools.std(axis=1) * np.sqrt(self._block)
        total = batches * means + np.sqrt(batches) * deviation * self._rng.standard_normal(len(means))
        open_time = np.maximum(np.maximum(total, 0.0) / slots, batches * self._rest.spacing)
        if self._by_clock or not self._clock.stops:
            return np.asarray(free + open_time[:, None])
        # After an opening all slots begin afresh, so that a window sends a little more than its share of jobs.
        gain = float((means * (0.5 + (self._pools.std(axis=1) / means) ** 2 / 2)).mean())
        pauses = [after[0] - before[1] for before, after in pairwise(self._clock.spans)]
        gain = 0.0 if batches * self._rest.spacing > 0 else min([gain, *pauses])
        clock = Clock(tuple((opens, closes + gain * 0.999) for opens, closes in self._clock.spans))
        moved = clock.moment(clock.reading(free.min(axis=1)) + open_time)
        return np.asarray(free - free.min(axis=1)[:, None] + moved[:, None])

    def _draw(self, batches: int) -> Seconds:
        draws, size = self._pools.shape
        starts = self._rng.integers(0, size, (draws, -(-batches // self._block)))
        index = (starts[:, :, None] + np.arange(self._block)).reshape(draws, -1)[:, :batches] % size
        return np.take_along_axis(self._pools, index, axis=1)

    def _begins(self, at: Seconds) -> Seconds:
        return at if self._by_clock else self._clock.next_open(at)

    def _to_time(self, at: Seconds) -> Seconds:
        return self._clock.reading(at) if self._by_clock else at

    def _to_moment(self, at: Seconds) -> Seconds:
        return self._clock.moment(at) if self._by_clock else at


def _climb(work: _Work, ladder: Ladder, ends: Seconds) -> Seconds:
    """Let failed files be tried again: in half of the draws they succeed then, in the others never."""
    batches = -(-ladder.files // max(1, ladder.batch_files))
    if not batches:
        return ends
    for_ever = _for_ever(len(ends))
    for number, wait in enumerate(ladder.waits):
        after = work.through(np.empty((0, 0)), batches, since=ends + wait)
        ends = after if number == 0 else np.where(for_ever, after, ends)
    return ends


def _lasting(ages: Seconds, spent: Seconds, rng: np.random.Generator) -> Seconds:
    """Draw what each job in flight lasts in all, given that it has lasted that long already."""
    if not len(ages):
        return np.empty((0, 0))
    mean, deviation = _log_normal(spent, ages)
    # Nobody knows the law itself: each draw has one of its own.
    deviations = deviation * np.exp(rng.standard_normal(_DRAWS) / np.sqrt(2 * len(spent)))
    means = mean + deviations * rng.standard_normal(_DRAWS) / np.sqrt(len(spent))
    drawn = np.empty((_DRAWS, len(ages)))
    for column, age in enumerate(ages):
        longer = np.sort(spent[spent > age])
        if len(longer) >= _ENOUGH:
            drawn[:, column] = np.interp(rng.random(_DRAWS) * len(longer), np.arange(len(longer) + 1), [age, *longer])
            continue
        passed = np.interp((np.log(max(age, 1e-3)) - means) / deviations, _NORMAL, _SHARES)
        z = np.interp(passed + (1 - passed) * rng.random(_DRAWS), _SHARES, _NORMAL)
        least = age * (1 + 0.1 * deviations * rng.random(_DRAWS))
        drawn[:, column] = np.maximum(np.exp(means + deviations * z), least)
    return drawn


def _log_normal(ended: Seconds, ages: Seconds) -> tuple[float, float]:
    """Fit mean and deviation of the logarithms to jobs that ended and to such as still run (EM, Dempster 1977)."""
    known, above = np.log(ended), np.log(np.maximum(ages, 1e-3))
    mean, deviation = float(known.mean()), max(float(known.std()), 0.05)
    normal = NormalDist()
    for _ in range(30):
        alpha = (above - mean) / deviation
        hazard = np.array([normal.pdf(a) / max(1 - normal.cdf(a), 1e-12) if a < 6 else a for a in alpha])
        first = mean + deviation * hazard
        second = mean**2 + deviation**2 + deviation * (mean + above) * hazard
        mean = float((known.sum() + first.sum()) / (len(known) + len(above)))
        variance = float((known @ known + second.sum()) / (len(known) + len(above)) - mean**2)
        deviation = float(np.clip(np.sqrt(max(variance, 0.0)), 0.02, 1.5))
    return mean, deviation


def _drawn_again(spent: Seconds, lasts: Seconds, rng: np.random.Generator) -> Seconds:
    """Draw the jobs again, in blocks, once for each draw; every second draw looks at the latest ones only.

    Whoever is in flight belongs to the jobs as soon as their number tells: without them the short ones prevail.
    """
    whole = np.concatenate([np.broadcast_to(spent, (_DRAWS, len(spent))), lasts.reshape(_DRAWS, -1)], axis=1)
    size = whole.shape[1]
    few = max(10, size // _LATEST)
    block = _block(size)
    starts = rng.integers(0, size, (_DRAWS, -(-size // block)))
    if size >= 2 * few:
        starts[::2] = size - few + rng.integers(0, few - block + 1, starts[::2].shape)
    index = (starts[:, :, None] + np.arange(block)).reshape(_DRAWS, -1)[:, :size] % size
    # Between and beyond the times that were seen there are others: smoothed as Silverman (1986, 3.31) says.
    width = min(0.5, 1.06 * float(np.log(spent).std()) * size**-0.2)
    smooth = np.exp(width * rng.standard_normal((_DRAWS, size)) - width**2 / 2)
    pools: Seconds = np.take_along_axis(whole, index, axis=1) * smooth
    return pools


def _block(size: int) -> int:
    return max(1, min(25, size // 6))


def _range(ends: Seconds, rest: Rest, clock: Clock, known: int) -> Eta:
    """Take the outermost ends, widened for few jobs; no end lies before now.

    Its first moment is looked for where failed files succeed at last, its last where they never do.
    """
    wider = _ALL_ALONG * _student(known - 1)
    for_ever = _for_ever(len(ends))
    start = max(_edge(ends[~for_ever], 0.0, rest, clock, wider), rest.now)
    end = _edge(ends[for_ever], 1.0, rest, clock, wider) + rest.closing
    likely = float(np.quantile(ends, 0.5, method="nearest")) + rest.closing / 2
    found = (start, min(max(start, likely), end), end)
    if rest.deadline is not None:
        found = tuple(min(one, max(rest.deadline, rest.now)) for one in found)  # type: ignore[assignment]
    return Eta(*found)


def _edge(ends: Seconds, share: float, rest: Rest, clock: Clock, wider: float) -> float:
    """Give one end of the range, widened on the clock; an end beyond a close is one of a job that went on."""
    middle, edge = np.quantile(ends, [0.5, share], method="nearest")
    if not np.isfinite(middle) or not np.isfinite(edge):
        return float("inf")
    at, near, far = clock.reading(np.array([rest.now, middle, edge])) if clock.stops else (rest.now, middle, edge)
    sign = 1 if share > 0.5 else -1
    slack = _SLACK + _SLACK_SHARE * max(0.0, near - at)
    widened = near + wider * (far - near) + sign * slack
    found = float(clock.moment(np.array([widened]))[0]) if clock.stops else float(widened)
    return float(max(found, edge + slack) if sign > 0 else min(found, edge - slack))


def _for_ever(draws: int) -> npt.NDArray[np.bool_]:
    """Choose the draws in which failed files never succeed."""
    return np.arange(draws) % 4 < 2


def _student(freedom: int) -> float:
    """How much wider Student's t is than the normal law at its 99.5 % point (Abramowitz & Stegun 26.7.5)."""
    first = (_Z**2 + 1) / 4
    second = (5 * _Z**4 + 16 * _Z**2 + 3) / 96
    return 1 + first / freedom + second / freedom**2
