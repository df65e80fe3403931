"""A clock that stands still while nothing may be sent: open spans of time, and the open seconds between two moments."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from activities.open_times import open_spans
from workflows.running import Window

Span = tuple[float, float]
"""A stretch of time from its first second up to its last, both in seconds since the epoch."""

Seconds = npt.NDArray[np.float64]
ALWAYS: tuple[Span, ...] = ((float("-inf"), float("inf")),)


class Clock:
    """Tells open time from time that passes; between two spans it stands still."""

    def __init__(self, spans: Iterable[Span] = ALWAYS) -> None:
        """Take the open spans in order, none of which touches another."""
        self.spans = tuple(spans)
        # Infinity minus infinity is no number: a span without an end is as long as anything that is asked about.
        self._opens = np.array([max(start, -_FAR) for start, _ in self.spans], dtype=np.float64)
        self._closes = np.array([min(end, _FAR) for _, end in self.spans], dtype=np.float64)
        self._before = np.concatenate([[0.0], np.cumsum(self._closes - self._opens)])

    @property
    def stops(self) -> bool:
        """Whether it ever stands still."""
        return self.spans != ALWAYS

    def is_open(self, at: float) -> bool:
        """Tell whether something may be sent at this moment."""
        return any(start <= at < end for start, end in self.spans)

    def reading(self, at: Seconds) -> Seconds:
        """Give the open seconds up to each moment."""
        if not len(self._opens):
            return np.zeros_like(at)
        index = np.clip(np.searchsorted(self._opens, at, side="right") - 1, 0, None)
        inside = np.clip(at - self._opens[index], 0.0, self._closes[index] - self._opens[index])
        return self._before[index] + inside

    def moment(self, reading: Seconds) -> Seconds:
        """Give the first moment at which it shows each reading; infinity where it never does."""
        if not len(self._opens):
            return np.full_like(reading, np.inf)
        index = np.clip(np.searchsorted(self._before, reading, side="left") - 1, 0, None)
        over = index >= len(self._opens)
        index = np.minimum(index, len(self._opens) - 1)
        found = self._opens[index] + (reading - self._before[index])
        return np.where(over | (found >= _FAR), np.inf, found)

    def next_open(self, at: Seconds) -> Seconds:
        """Give each moment itself where something may be sent then, or else the next one at which it may."""
        if not self.stops:
            return at
        index = np.searchsorted(self._closes, at, side="right")
        opens = np.append(self._opens, np.inf)
        found: Seconds = np.maximum(at, opens[index])
        return found

    def elapsed(self, start: float, end: float) -> float:
        """Give the open seconds between two moments."""
        if not self.stops:
            return max(0.0, end - start)
        there, back = self.reading(np.array([end])), self.reading(np.array([start]))
        return max(0.0, float(there[0] - back[0]))

    def without(self, holes: Sequence[Span]) -> "Clock":
        """Give the clock that stands still during these spans too."""
        spans = list(self.spans)
        for first, last in holes:
            cut = [part for start, end in spans for part in ((start, min(end, first)), (max(start, last), end))]
            spans = [(start, end) for start, end in cut if end > start]
        return Clock(spans)


_FAR = 1e12


def clock_of(windows: Sequence[Window], start: datetime, until: datetime) -> Clock:
    """Give the clock that runs while a window is open, from `start` to `until`; without any window it never stops."""
    if not windows:
        return Clock()
    return Clock((span.start.timestamp(), span.end.timestamp()) for span in open_spans(windows, start, until))
