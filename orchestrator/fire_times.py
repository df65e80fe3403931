"""Fire times: the moments at which a schedule starts its policy, what the clocks' changes do to them included.

croniter gives the days and the times of the day; the zone gives the moments. A day on which nothing strange happens is
the common case, so each local time is asked for its offset before and after a change, and the two differ only near one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from croniter import croniter

from workflows.cron import parse_cron
from workflows.triggers import Dst, Schedule

__all__ = ["FireTime", "fire_times"]

_LAST_DAY: Final = date(2200, 12, 31)  # No policy names a later day (`workflows.moments`).


@dataclass(frozen=True, slots=True)
class FireTime:
    """A moment at which a schedule fires: in UTC, in its zone, and what a change of the clocks did to it."""

    at: datetime
    local: datetime
    note: str | None = None


def fire_times(schedule: Schedule, after: datetime, until: datetime | None = None) -> Iterator[FireTime]:
    """Give the moments after `after` up to and with `until`, in order, each once; both are aware.

    One fixed time of the day follows `dst`: one that does not exist is shifted by the gap's length (RFC 5545 3.3.5: the
    offset before the gap counts) or skipped, one that comes twice fires at the first, the second or both. Any other
    cron fires in every real minute whose local time matches: never in a gap, twice in a repeated hour.

    Nothing starts on a skipped day, before `start`, or on `end` and after it, by the zone's calendar. A time that a gap
    shifts into another day belongs to both days: it fires where both may.
    """
    waiting: list[FireTime] = []
    for found in _days(schedule, after, until):
        # Where clocks go back over midnight, a day's last times come after the next one's first.
        ready, waiting = _parted(waiting, found)
        yield from ready
    yield from waiting


# Nearly all fire times of a day precede the next day's, and none comes after the day behind that one: a change of the
# clocks is shorter than a day. The one exception is a whole day that a gap swallowed; it falls on the next one's times.
_REACH: Final = timedelta(days=2)
_MIDNIGHT: Final = time()
_ELAPSED: Final = Dst(gap="skip", overlap="both")


def _days(schedule: Schedule, after: datetime, until: datetime | None) -> Iterator[list[FireTime]]:
    zone, cron = ZoneInfo(schedule.timezone), parse_cron(schedule.cron)
    dst = schedule.dst if cron.fixed else _ELAPSED
    minutes, hours = _numbers(str(cron), 0, 60), _numbers(str(cron), 1, 24)
    times = [time(hour, minute) for hour in hours for minute in minutes]
    first = max(after.astimezone(zone).date() - _REACH, schedule.start or date.min)
    last = min(until.astimezone(zone).date() + _REACH if until else _LAST_DAY, _LAST_DAY)
    for day in _walk(f"0 0 {cron.day} {cron.month} {cron.weekday}", first):
        if day > last or (schedule.end and day >= schedule.end):
            return
        if not _open(schedule, day):
            continue
        found = (one for moment in times for one in _moments(datetime.combine(day, moment, zone), dst))
        yield [
            one for one in found
            if after < one.at and (until is None or one.at <= until)
            and (one.note is None or _open(schedule, one.local.date()))
        ]  # fmt: skip


def _walk(days: str, first: date) -> Iterator[date]:
    # Without a zone, croniter counts plain calendar days; its own reading of DST is never asked for.
    walk = croniter(days, datetime.combine(first, _MIDNIGHT) - timedelta(seconds=1), ret_type=datetime, day_or=False)
    while True:
        yield walk.get_next(datetime).date()


def _numbers(cron: str, field: int, count: int) -> list[int]:
    values = croniter.expand(cron)[0][field]
    return list(range(count)) if values == ["*"] else [int(value) for value in values]


def _open(schedule: Schedule, day: date) -> bool:
    return (
        day not in schedule.skip_dates
        and (schedule.start is None or day >= schedule.start)
        and (schedule.end is None or day < schedule.end)
    )


def _moments(nominal: datetime, dst: Dst) -> Iterator[FireTime]:
    """Find the moments of a local time: PEP 495's fold 0 has the offset before a change of the clocks, 1 after it."""
    later = nominal.replace(fold=1)
    before, after = nominal.utcoffset(), later.utcoffset()
    assert before is not None and after is not None
    if before == after:
        yield FireTime(nominal.astimezone(UTC), nominal)
    elif before < after:
        if dst.gap == "shift":
            at = nominal.astimezone(UTC)
            local = at.astimezone(nominal.tzinfo)
            yield FireTime(at, local, _shifted(nominal, local))
    else:
        for moment, which in ((nominal, "first"), (later, "second")):
            if dst.overlap in (which, "both"):
                yield FireTime(moment.astimezone(UTC), moment, f"{moment:%H:%M} comes twice: the {which}")


def _shifted(nominal: datetime, local: datetime) -> str:
    if nominal.date() == local.date():
        return f"{nominal:%H:%M} does not exist on this day: shifted to {local:%H:%M}"
    return f"{nominal:%Y-%m-%d %H:%M} does not exist: shifted to {local:%Y-%m-%d %H:%M}"


def _parted(waiting: list[FireTime], found: list[FireTime]) -> tuple[list[FireTime], list[FireTime]]:
    """Part what precedes all that is still to come from the rest, a moment that two days share counted once."""
    if not found:
        return [], waiting
    found.sort(key=_moment)
    if not waiting or waiting[-1].at < found[0].at:
        return waiting, found
    together = sorted({one.at: one for one in (*found, *waiting)}.values(), key=_moment)
    return [one for one in together if one.at < found[0].at], [one for one in together if one.at >= found[0].at]


def _moment(one: FireTime) -> datetime:
    return one.at
