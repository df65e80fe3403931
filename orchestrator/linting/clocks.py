"""Lint of schedules: local times that do not exist on some day, and schedules that never fire."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from orchestrator.linting.finding import Finding
from workflows.cron import Cron, parse_cron
from workflows.policy import Policy
from workflows.triggers import Schedule

YEARS_AHEAD: Final = 3
YEARS_OF_CRONS: Final = 8  # a leap day is at most eight years off


def clock_findings(policy: Policy, today: date) -> Iterator[Finding]:
    """Find schedules that fire at times that do not exist, or never, from a day on."""
    for index, trigger in enumerate(policy.triggers):
        if trigger.schedule is None:
            continue
        where = ("triggers", index, "schedule")
        cron = parse_cron(trigger.schedule.cron)
        if (never := _never_fires(cron, trigger.schedule, today)) is not None:
            yield Finding("never-fires", where, never, at_key=True)
        elif (gap := _first_gap(cron, trigger.schedule, today)) is not None:
            yield Finding("fires-in-a-gap", (*where, "cron"), _gap_said(trigger.schedule, *gap))


def _never_fires(cron: Cron, schedule: Schedule, today: date) -> str | None:
    if schedule.end is not None and schedule.end <= today:
        return f"this schedule ended on {schedule.end}: it never fires again; move `end`, or leave the schedule out"
    first = max(schedule.start or today, today)
    last = schedule.end or first.replace(year=first.year + YEARS_OF_CRONS, day=min(first.day, 28))
    day, days = first, _days(cron)
    while day < last:
        if days(day) and day not in schedule.skip_dates:
            return None
        day += timedelta(days=1)
    return "this schedule never fires: no day between `start` and `end` fits its cron, or all are in `skip_dates`"


def _first_gap(cron: Cron, schedule: Schedule, today: date) -> tuple[datetime, datetime] | None:
    """Find the first local time of the schedule that does not exist, and the one that stands for it."""
    if not cron.fixed or "gap" in schedule.dst.model_fields_set:
        return None  # Other crons follow elapsed time; and who wrote the key knows.
    days = _days(cron)
    for begins, length in _gaps(schedule.timezone, today):
        for after in range((begins + length).toordinal() - begins.toordinal() + 1):
            day = begins.date() + timedelta(days=after)
            moment = datetime(day.year, day.month, day.day, int(cron.hour), int(cron.minute))
            bounded = (schedule.start or date.min) <= day < (schedule.end or date.max)
            if begins <= moment < begins + length and days(day) and day not in schedule.skip_dates and bounded:
                return moment, moment + length
    return None


def _gap_said(schedule: Schedule, moment: datetime, shifted: datetime) -> str:
    return (
        f"{moment:%H:%M} does not exist in {schedule.timezone} on {moment:%Y-%m-%d}, when the clocks go forward: on "
        f"such a day this fires at {shifted:%H:%M}. Choose another time, or say which you want: "
        f"`dst: {{gap: shift}}` for {shifted:%H:%M}, `dst: {{gap: skip}}` for no start"
    )


@lru_cache(maxsize=256)
def _gaps(zone: str, today: date) -> tuple[tuple[datetime, timedelta], ...]:
    """List the gaps of a zone's clocks in the next years: the first local time that does not exist, and the length."""
    if zone == "UTC":
        return ()
    info, found = ZoneInfo(zone), []
    moment = datetime(today.year, today.month, today.day, tzinfo=UTC)
    before = _offset(moment, info)
    for _ in range(366 * YEARS_AHEAD):
        following = moment + timedelta(days=1)
        after = _offset(following, info)
        if after > before:
            change = _change(moment, following, info)
            found.append(((change + before).replace(tzinfo=None), after - before))
        moment, before = following, after
    return tuple(found)


def _change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Narrow down to the second at which the clocks change."""
    before = _offset(low, zone)

    def changed(second: int) -> bool:
        return _offset(low + timedelta(seconds=second), zone) != before

    return low + timedelta(seconds=bisect_left(range((high - low) // timedelta(seconds=1)), True, key=changed))


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _days(cron: Cron) -> Callable[[date], bool]:
    """Give the test of whether a cron fires on a day."""
    days, months = _numbers(cron.day, 31), _numbers(cron.month, 12)
    weekdays = _numbers(cron.weekday, 6)
    return lambda day: day.day in days and day.month in months and day.isoweekday() % 7 in weekdays


def _numbers(text: str, greatest: int) -> frozenset[int]:
    """Read one field of a cron in the one form in which the language writes it back."""
    found: set[int] = set()
    for part in text.split(","):
        bounds, _, step = part.partition("/")
        first, _, last = bounds.partition("-")
        if first == "*":
            first, last = str(0 if greatest == 6 else 1), str(greatest)
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return frozenset(found)
