"""Calendars: the fire times of a schedule as the explicit UTC calendars of a Temporal Schedule, in few entries.

Temporal's own reading of a cron in a zone is wrong around changes of the clocks, so it gets moments in UTC and no zone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

from croniter import croniter
from temporalio.client import ScheduleCalendarSpec, ScheduleRange

from orchestrator.fire_times import fire_times
from workflows.triggers import Schedule

__all__ = ["HORIZON", "MOST_ENTRIES", "Calendars", "calendars"]

HORIZON: Final = timedelta(days=400)  # Over a year, so that a yearly start is always among them.
MOST_ENTRIES: Final = 400  # The engine looks at each entry for each start; 400 cost it 43 ms, 2,000 a quarter second.
_MOST_TIMES: Final = 90_000  # Every minute of 62 days; anything else reaches further.
_LEAST_TIMES: Final = 5  # A 29 February has several of them ahead too.
_QUARTER: Final = 15  # Minutes: every offset of every zone since 1972 is a multiple of it.


@dataclass(frozen=True)
class Calendars:
    """Every start after `start` up to and with `until`, and none else; without `until` they never run out.

    Without any specs nothing ever starts again: a schedule whose bounds are over.
    """

    specs: tuple[ScheduleCalendarSpec, ...]
    start: datetime
    until: datetime | None


def calendars(schedule: Schedule, start: datetime, horizon: timedelta = HORIZON) -> Calendars:
    """Compute the calendars for the starts after `start`.

    They reach over `horizon`, and further where hardly anything happens in it; less far where that would be more than
    MOST_ENTRIES entries or more starts than every minute of two months. A start that may still have to be caught up
    must be in them: whoever renews them puts `start` the catch-up window back, not at the present.
    """
    if _never_changes(schedule):
        return Calendars((_recurring(schedule.cron),), start, None)
    times, until = _times(schedule, start, horizon)
    specs = tuple(_specs(times))
    while len(specs) > MOST_ENTRIES:
        times = times[: len(times) // 2]
        specs, until = tuple(_specs(times)), times[-1]
    return Calendars(specs, start, until)


def _never_changes(schedule: Schedule) -> bool:
    """Tell whether a cron names the same moments for ever, whatever a government does to the clocks."""
    if schedule.skip_dates or schedule.start or schedule.end:
        return False
    if schedule.timezone in ("UTC", "Etc/UTC"):
        return True
    minutes, *others = croniter.expand(schedule.cron)[0]
    moved = {(int(minute) + _QUARTER) % 60 for minute in minutes if minute != "*"}
    return all(field == ["*"] for field in others) and moved == {int(minute) for minute in minutes if minute != "*"}


def _recurring(cron: str) -> ScheduleCalendarSpec:
    wholes = (range(60), range(24), range(1, 32), range(1, 13), range(7))
    fields = zip(croniter.expand(cron)[0], wholes, strict=True)
    minute, hour, day, month, weekday = (
        _ranges(whole if field == ["*"] else map(int, field)) for field, whole in fields
    )
    return ScheduleCalendarSpec(minute=minute, hour=hour, day_of_month=day, month=month, day_of_week=weekday)


def _times(schedule: Schedule, start: datetime, horizon: timedelta) -> tuple[list[datetime], datetime | None]:
    """Gather the starts, and the moment up to which there is no other; None when none ever follows."""
    wanted = start + horizon
    times: list[datetime] = []
    for one in fire_times(schedule, start):
        if one.at > wanted and len(times) >= _LEAST_TIMES:
            return times, max(wanted, times[-1])
        if len(times) == _MOST_TIMES:
            return times, times[-1]
        times.append(one.at)
    return times, None


_TimesOfDay = tuple[frozenset[int], frozenset[int]]  # Hours, and the minutes of each of them.


def _specs(times: Iterable[datetime]) -> Iterator[ScheduleCalendarSpec]:
    """Write moments as entries: days that share their hours and minutes are one, for each month or several alike."""
    days: dict[date, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for at in times:
        days[at.date()][at.hour].add(at.minute)
    alike: dict[_TimesOfDay, list[date]] = defaultdict(list)
    for day, hours in days.items():
        for key in _products(hours):
            alike[key].append(day)
    for (hours_alike, minutes), found in alike.items():
        for year, months, numbers in _months(found):
            yield ScheduleCalendarSpec(
                minute=_ranges(minutes),
                hour=_ranges(hours_alike),
                day_of_month=_ranges(numbers),
                month=_ranges(months),
                year=[ScheduleRange(year)],
            )


def _products(hours: Mapping[int, set[int]]) -> Iterator[_TimesOfDay]:
    grouped: dict[frozenset[int], set[int]] = defaultdict(set)
    for hour, minutes in hours.items():
        grouped[frozenset(minutes)].add(hour)
    return ((frozenset(group), minutes) for minutes, group in grouped.items())


def _months(days: Iterable[date]) -> Iterator[tuple[int, set[int], frozenset[int]]]:
    numbers: dict[tuple[int, int], set[int]] = defaultdict(set)
    for day in days:
        numbers[day.year, day.month].add(day.day)
    grouped: dict[tuple[int, frozenset[int]], set[int]] = defaultdict(set)
    for (year, month), found in numbers.items():
        grouped[year, frozenset(found)].add(month)
    return ((year, months, found) for (year, found), months in grouped.items())


def _ranges(values: Iterable[int]) -> list[ScheduleRange]:
    """Write numbers as ranges, or as one with a step."""
    ordered = sorted(values)
    steps = {after - before for before, after in pairwise(ordered)}
    if len(steps) == 1 and len(ordered) > 2:
        return [ScheduleRange(ordered[0], ordered[-1], steps.pop())]
    found: list[ScheduleRange] = []
    for value in ordered:
        if found and found[-1].end == value - 1:
            found[-1] = ScheduleRange(found[-1].start, value)
        else:
            found.append(ScheduleRange(value))
    return found
