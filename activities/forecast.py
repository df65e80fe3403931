"""The forecast of a pool: a robust line through its measured levels, and when it meets a mark, with a range."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from workflows.pools import Level

MOST_POINTS = 300
FEWEST_POINTS = 5
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Trend:
    """Bytes a second from the level `used` on, and the range in which the slope lies with 95 % confidence."""

    slope: float
    low: float
    high: float
    used: int

    def time_to(self, target: int) -> timedelta | None:
        """Give the time until so many bytes are used; zero when they are, None when that is not where it goes."""
        return _time(target - self.used, self.slope)

    def range_to(self, target: int) -> tuple[timedelta | None, timedelta | None]:
        """Give the earliest and the latest time by the range of the slope; None is never."""
        return _time(target - self.used, self.high), _time(target - self.used, self.low)


def trend(levels: Sequence[Level]) -> Trend | None:
    """Fit the levels; None for too few of them.

    The slope is the median of the slopes of all pairs (Theil 1950), which a third of wild points does not move. Its
    range is Sen's (1968, "Estimates of the regression coefficient based on Kendall's tau"): the pairs' slopes of the
    ranks (N - C) / 2 and (N + C) / 2, with C = z * sqrt(n (n - 1) (2 n + 5) / 18) and N = n (n - 1) / 2.
    """
    levels = _after_the_last_drop(levels)
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
    return Trend(float(np.median(slopes)), float(slopes[low]), float(slopes[high]), levels[-1].used)


def _after_the_last_drop(levels: Sequence[Level]) -> Sequence[Level]:
    """Leave out what was before the last drain: a fall of more than 5 % of the capacity from the highest level."""
    start, highest = 0, None
    for index, one in enumerate(levels):
        if highest is None or one.used >= highest:
            highest = one.used
        elif (highest - one.used) * 20 > one.capacity:
            start, highest = index, one.used
    return levels[start:]


def _time(left: int, slope: float) -> timedelta | None:
    if left <= 0:
        return timedelta(0)
    if slope <= 0 or left / slope > 10 * 365 * 86_400:
        return None
    return timedelta(seconds=left / slope)
