"""The forecast of a pool: a robust line through its measured levels, and when it meets a mark, with a range."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from workflows.pools import Level

MOST_POINTS = 300
FARTHEST = 20
"""A forecast looks no farther ahead than so many times the time that it looked back on."""
NEVER = timedelta(days=3650)
FEWEST_POINTS = 5
FALL = 5.0
"""A fall by so many percent of the capacity is a drain, and no part of a trend."""

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Trend:
    """Bytes a second from the level `used` on, and the range in which the slope lies with 95 % confidence."""

    slope: float
    low: float
    high: float
    used: int
    over: timedelta = timedelta(days=7)

    def time_to(self, target: int) -> timedelta | None:
        """Give the time until so many bytes are used; zero when they are.

        None when that is not where it goes, when the range does not even tell its direction, or when it is far.
        """
        found = self._soon(target, self.slope)
        return found if self.low > 0 or found == timedelta(0) else None

    def range_to(self, target: int) -> tuple[timedelta | None, timedelta | None]:
        """Give the earliest time by the range of the slope, None when far; and the latest, None for never."""
        return self._soon(target, self.high), self._time(target, self.low)

    def _soon(self, target: int, slope: float) -> timedelta | None:
        found = self._time(target, slope)
        return found if found is not None and found <= FARTHEST * self.over else None

    def _time(self, target: int, slope: float) -> timedelta | None:
        left = target - self.used
        if left <= 0:
            return timedelta(0)
        if slope <= 0 or left / slope > NEVER.total_seconds():
            return None
        return timedelta(seconds=left / slope)


def trend(levels: Sequence[Level], fall: float = FALL) -> Trend | None:
    """Fit the levels since the last fall by so many percent of the capacity; None for too few of them.

    The slope is the median of the slopes of all pairs (Theil 1950), which a third of wild points does not move. Its
    range is Sen's (1968, "Estimates of the regression coefficient based on Kendall's tau"): the pairs' slopes of the
    ranks (N - C) / 2 and (N + C) / 2, with C = z * sqrt(n (n - 1) (2 n + 5) / 18) and N = n (n - 1) / 2.
    """
    levels = _after_the_last_drop(levels, fall)
    if len(levels) < FEWEST_POINTS:
        return None
    step = -(-len(levels) // MOST_POINTS)
    chosen = [*levels[:-1:step], levels[-1]]
    start = chosen[0].at
    x = np.array([(one.at - start).total_seconds() for one in chosen])
    y = np.array([one.used for one in chosen], dtype=np.float64)
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    slopes = np.sort((y[second] - y[first])[apart > 0] / apart[apart > 0])
    if not len(slopes):
        return None
    n, pairs = len(x), len(slopes)
    c = Z_95 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, int((pairs - c) / 2))
    high = min(pairs - 1, int(np.ceil((pairs + c) / 2)))
    return Trend(
        float(np.median(slopes)), float(slopes[low]), float(slopes[high]), levels[-1].used, chosen[-1].at - start
    )


def _after_the_last_drop(levels: Sequence[Level], fall: float) -> Sequence[Level]:
    """Leave out what was before the last drain: a fall of more than that from the highest level."""
    start, highest = 0, None
    for index, one in enumerate(levels):
        if highest is None or one.used >= highest:
            highest = one.used
        elif (highest - one.used) * 100 > fall * one.capacity:
            start, highest = index, one.used
    return levels[start:]
