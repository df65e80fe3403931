"""When the windows of a policy are open: the zones' rules are on the disk, so an activity answers for the workflow.

A moment is in a window when the clock on the wall of its zone shows a time in it, on a day of it. So a window that
begins in a gap opens at the gap's end, one that ends in a gap closes at its beginning, and where an hour comes twice
both count. Nothing else could be promised: outside is what a person who looks at that clock calls outside.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from temporalio import activity

from workflows.moments import DAYS
from workflows.opening import OpenTimes, Span
from workflows.payload import Payload
from workflows.running import Window

__all__ = ["OpenTimesRequest", "WindowTimes", "open_spans"]

KNOWN_FOR = timedelta(days=28)
"""How far ahead a run knows its windows; it asks again long before that."""
DAY = timedelta(days=1)


class OpenTimesRequest(Payload):
    """The windows of a policy, and the moment from which on they are wanted."""

    windows: tuple[Window, ...]
    after: datetime


@dataclass
class WindowTimes:
    """The activity; one instance serves a worker."""

    @activity.defn
    async def open_times(self, request: OpenTimesRequest) -> OpenTimes:
        """Give the times of the coming weeks in which batches may be sent."""
        until = request.after + KNOWN_FOR
        spans = await asyncio.to_thread(open_spans, request.windows, request.after, until)
        return OpenTimes(spans=tuple(spans), known_until=until)


def open_spans(windows: Sequence[Window], after: datetime, until: datetime) -> list[Span]:
    """Give the spans in which at least one window is open, cut to [after, until), in order; both are aware."""
    marks = {after.astimezone(UTC), until.astimezone(UTC)}
    for window in windows:
        marks.update(mark for mark in _marks(window, after, until) if after < mark < until)
    ordered = sorted(marks)
    found: list[Span] = []
    for start, end in pairwise(ordered):
        if not any(is_open(window, start) for window in windows):
            continue
        if found and found[-1].end == start:
            found[-1] = Span(start=found[-1].start, end=end)
        else:
            found.append(Span(start=start, end=end))
    return found


def is_open(window: Window, moment: datetime) -> bool:
    """Tell whether the wall clock of the window's zone shows a time in it."""
    local = moment.astimezone(ZoneInfo(window.timezone))
    clock, today, yesterday = local.time(), _day(local), _day(local - DAY)
    if window.start < window.end:
        return today in window.days and window.start <= clock < window.end
    return (today in window.days and clock >= window.start) or (yesterday in window.days and clock < window.end)


def _day(local: datetime) -> str:
    return DAYS[local.weekday()]


def _marks(window: Window, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every moment at which the window may open or close: its times, midnights, and changes of the clocks."""
    zone = ZoneInfo(window.timezone)
    day, last = after.astimezone(zone).date() - DAY, until.astimezone(zone).date() + DAY
    while day <= last:
        for moment in (window.start, window.end, time(0)):
            for fold in (0, 1):
                yield datetime.combine(day, moment, zone).replace(fold=fold).astimezone(UTC)
        yield from _change(zone, datetime.combine(day, time(12), UTC))
        day += DAY


def _change(zone: ZoneInfo, noon: datetime) -> Iterator[datetime]:
    """The moment in the day from this one on at which the zone's clocks are changed, if there is one."""
    before, after = noon, noon + DAY
    offset = before.astimezone(zone).utcoffset()
    if after.astimezone(zone).utcoffset() == offset:
        return
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle == before:
            break
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    yield after
