"""The documented meaning of a schedule, computed in another way: every minute of the years is looked at.

Shares nothing with the product but the zones' own rules: no croniter, no PEP 495 folds, a reader of crons of its own.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from workflows.triggers import Dst, Schedule

_MARGIN = timedelta(days=3)
_NAMES = {name.lower(): number for names in (calendar.month_abbr,) for number, name in enumerate(names) if name}
_NAMES |= {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}


@dataclass(frozen=True)
class Span:
    """Two years of a zone, minute by minute."""

    zone: str
    first: date

    @property
    def after(self) -> datetime:
        return datetime.combine(self.first, datetime.min.time(), UTC)

    @property
    def until(self) -> datetime:
        return self.after + timedelta(days=731)

    @cached_property
    def _begin(self) -> int:
        return round((self.after - _MARGIN).timestamp()) // 60

    @cached_property
    def local(self) -> Any:
        """The wall clock, in minutes since 1970-01-01 00:00 of the wall, at every real minute."""
        zone, end = ZoneInfo(self.zone), round((self.until + _MARGIN).timestamp()) // 60

        def shift(minute: int) -> int:
            return (datetime.fromtimestamp(minute * 60, zone).utcoffset() or timedelta(0)) // timedelta(minutes=1)

        real = np.arange(self._begin, end)
        hourly = [shift(minute) for minute in range(self._begin, end + 60, 60)]
        shifts = np.repeat(hourly, 60)[: len(real)]
        for hour, (before, after) in enumerate(pairwise(hourly)):
            if before != after:  # Somewhere in this hour: ask each of its minutes.
                for minute in range(hour * 60, min(hour * 60 + 60, len(real))):
                    shifts[minute] = shift(self._begin + minute)
        return real + shifts

    @cached_property
    def _ordered(self) -> tuple[Any, Any]:
        order = np.argsort(self.local, kind="stable")
        return order, self.local[order]

    @cached_property
    def days(self) -> Any:
        """The wall's calendar day at every real minute, since 1970-01-01."""
        return self.local // 1440

    @cached_property
    def times(self) -> Any:
        """The wall's time of the day at every real minute, in minutes."""
        return self.local % 1440

    def at(self, wall: int) -> list[int]:
        """The real minutes, counted from the first, at which the wall shows this; none in a gap, two in an overlap."""
        order, walls = self._ordered
        return [int(n) for n in order[np.searchsorted(walls, wall, "left") : np.searchsorted(walls, wall, "right")]]

    def moment(self, minute: int) -> datetime:
        return datetime.fromtimestamp((self._begin + minute) * 60, UTC)


@cache
def span(zone: str, first: str) -> Span:
    return Span(zone, date.fromisoformat(first))


def documented_times(where: Span, cron: str, dst: Dst, schedule: Schedule | None = None) -> list[datetime]:
    """When a cron fires in these two years, by the words of the documentation."""
    minutes, hours, numbers, months, weekdays = (_field(text, n) for n, text in enumerate(_written_out(cron).split()))
    first, last = int(where.days[0]), int(where.days[-1])
    open_days = [
        day for day in range(first, last + 1)
        if _named(day, numbers, months, weekdays) and (schedule is None or _allowed(day, schedule))
    ]  # fmt: skip
    if all(part.isdecimal() for part in _written_out(cron).split()[:2]):
        found = [one for day in open_days for one in _fixed(where, day * 1440 + hours[0] * 60 + minutes[0], dst)]
        if schedule is not None:
            found = [minute for minute in found if _allowed(int(where.days[minute]), schedule)]
    else:
        open_day, open_time = np.zeros(last - first + 1, bool), np.zeros(1440, bool)
        open_day[[day - first for day in open_days]] = True
        open_time[[hour * 60 + minute for hour in hours for minute in minutes]] = True
        found = np.flatnonzero(open_day[where.days - first] & open_time[where.times]).tolist()
    moments = (where.moment(minute) for minute in sorted(set(found)))
    return [moment for moment in moments if where.after < moment <= where.until]


def _fixed(where: Span, wall: int, dst: Dst) -> list[int]:
    there = where.at(wall)
    if len(there) == 1:
        return there
    if there:
        return {"first": there[:1], "second": there[1:], "both": there}[dst.overlap]
    if dst.gap == "skip":
        return []
    beyond = int(np.argmax(where.local > wall))  # The first minute after the gap, which the wall jumps to.
    if beyond == 0 or not (where.local > wall).any():
        return []  # Outside of the years.
    gap = int(where.local[beyond] - where.local[beyond - 1]) - 1
    return where.at(wall + gap)[:1]


def _named(day: int, numbers: list[int], months: list[int], weekdays: list[int]) -> bool:
    when = date(1970, 1, 1) + timedelta(days=day)
    return when.day in numbers and when.month in months and when.isoweekday() % 7 in weekdays


def _allowed(day: int, schedule: Schedule) -> bool:
    when = date(1970, 1, 1) + timedelta(days=day)
    if (schedule.start and when < schedule.start) or (schedule.end and when >= schedule.end):
        return False
    return when not in schedule.skip_dates


def _written_out(cron: str) -> str:
    return {"@daily": "0 0 * * *", "@hourly": "0 * * * *", "@monthly": "0 0 1 * *"}.get(cron, cron)


def _field(text: str, number: int) -> list[int]:
    least, greatest = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))[number]
    found: list[int] = []
    for part in text.lower().split(","):
        values, _, step = part.partition("/")
        first, _, last = values.partition("-")
        begin, end = (least, greatest) if values == "*" else (_number(first), _number(last or first))
        found += range(begin, end + 1, int(step or 1))
    return found


def _number(text: str) -> int:
    return _NAMES[text] if text in _NAMES else int(text)


# Clocks that change in spring and autumn, by half an hour, at midnight, for a month of fasting, or over a whole day.
SPANS = (
    ("Europe/London", "2026-01-01"),
    ("America/New_York", "2026-01-01"),
    ("Australia/Lord_Howe", "2026-01-01"),
    ("Asia/Beirut", "2026-01-01"),
    ("Africa/Cairo", "2026-01-01"),
    ("Africa/Casablanca", "2026-01-01"),
    ("America/Sao_Paulo", "2017-06-01"),
    ("Pacific/Apia", "2011-01-01"),
)
MORE_SPANS = (("America/St_Johns", "2009-06-01"), ("Asia/Kathmandu", "2026-01-01"))

CRONS = (
    "0 22 * * 1-5", "30 1 * * *", "0 2 * * *", "30 2 * * *", "15 2 * * *", "45 1 * * sun", "0 3 * * *", "@daily",
    "0 0 * * *", "30 0 * * *", "15 0 * * 0", "59 23 * * *", "1 0 * * 5,6", "0 12 1 * *", "0 0 29 2 *", "0 6 31 * *",
    "30 4 1-7 * *", "0 5 */2 * *", "0 1 * 3,10,11 *", "15 23 * jan-jun mon-fri", "0 4 28-31 * *", "5 7 4 7 *",
    "*/15 * * 3,4,10,11 *", "* * * 3,10 0", "@hourly", "0 */6 * * *", "30 0-4 * * *", "0,30 1,2 * * *",
    "20,40 2 * * *", "*/20 1-3 * * 6,0", "7 * * * mon", "0 9-17 * * 1-5", "*/10 22-23 * * 5", "0-5 0 * * *",
    "45 */5 1,15 * *", "*/30 0 * * *", "13-50/7 3 * 3-5,9-11 *", "0 2-4/2 * * sun", "10 1,23 30 * *",
    "*/7 8-18/3 * 2,5 1,3",
)  # fmt: skip

DSTS = tuple(Dst(gap=gap, overlap=overlap) for gap in ("shift", "skip") for overlap in ("first", "second", "both"))
