"""The calendars for the engine say the fire times, in few entries."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.client import ScheduleCalendarSpec, ScheduleRange

from activities.calendars import HORIZON, MOST_ENTRIES, Calendars, calendars
from activities.engine_times import differences
from activities.fire_times import fire_times
from tests.documented_times import CRONS, DSTS, MORE_SPANS, SPANS
from workflows.triggers import Schedule

START = datetime(2026, 1, 15, 10, 20, tzinfo=UTC)
ZERO = timedelta(0)
ZONES = [zone for zone, _ in (*SPANS, *MORE_SPANS)]


def times(found: Calendars) -> list[datetime]:
    """What calendars that run out mean, however long they are followed."""
    return sorted(moment for spec in found.specs for moment in moments(spec))


def moments(spec: ScheduleCalendarSpec) -> list[datetime]:
    fields = (spec.year, spec.month, spec.day_of_month, spec.hour, spec.minute)
    assert spec.year, "it would never run out"
    return [datetime(*parts, tzinfo=UTC) for parts in product(*map(numbers, fields))]


def numbers(ranges: tuple[ScheduleRange, ...]) -> list[int]:
    return [number for one in ranges for number in range(one.start, one.end + 1, one.step)]


schedules = st.builds(
    Schedule,
    cron=st.sampled_from(CRONS),
    timezone=st.sampled_from(ZONES),
    skip_dates=st.lists(st.dates(date(2026, 1, 10), date(2027, 2, 1)), max_size=40).map(tuple),
    dst=st.sampled_from(DSTS),
    end=st.none() | st.dates(date(2026, 2, 1), date(2028, 1, 1)),
)


@settings(max_examples=60, deadline=None)
@given(schedules, st.integers(0, 500_000))
def test_calendars_say_every_fire_time_up_to_their_end_and_none_twice(schedule: Schedule, minutes: int) -> None:
    found = calendars(schedule, START + timedelta(minutes=minutes))
    if found.specs and not found.specs[0].year:
        assert found.until is None
        return
    assert times(found) == [one.at for one in fire_times(schedule, found.start, found.until)]
    assert len(found.specs) <= MOST_ENTRIES


@pytest.mark.parametrize("zone", ZONES)
def test_every_expression_reaches_over_a_year_in_few_entries(zone: str) -> None:
    for cron in CRONS:
        found = calendars(Schedule(cron=cron, timezone=zone), START)
        assert found.until is None or found.until >= START + HORIZON, cron
        assert len(found.specs) <= 100, cron


def test_a_schedule_in_utc_is_one_entry_that_never_runs_out() -> None:
    found = calendars(Schedule(cron="0 22 * jan-mar mon-fri"), START)
    assert (len(found.specs), found.until) == (1, None)
    spec = found.specs[0]
    assert (numbers(spec.hour), numbers(spec.month), numbers(spec.day_of_week)) == ([22], [1, 2, 3], [1, 2, 3, 4, 5])
    assert not spec.year


@pytest.mark.parametrize(
    ("cron", "lasting"),
    [("*/15 * * * *", True), ("* * * * *", True), ("7-59/15 * * * *", True), ("*/20 * * * *", False),
     ("0 * * * *", False), ("*/15 * * * 1-5", False), ("*/15 0-22 * * *", False)],
)  # fmt: skip
def test_only_what_no_change_of_any_clock_can_move_never_runs_out(cron: str, lasting: bool) -> None:
    assert (calendars(Schedule(cron=cron, timezone="Europe/London"), START).until is None) is lasting


def test_every_offset_of_every_zone_is_a_multiple_of_a_quarter_of_an_hour() -> None:
    months = [datetime(year, month, 1) for year in range(2000, 2040) for month in range(1, 13)]
    for zone in map(ZoneInfo, available_timezones()):
        assert all((month.replace(tzinfo=zone).utcoffset() or ZERO) % timedelta(minutes=15) == ZERO for month in months)


def test_days_to_skip_and_bounds_make_calendars_that_run_out() -> None:
    skipping = Schedule(cron="0 22 * * *", skip_dates=(date(2026, 12, 25),))
    assert calendars(skipping, START).until == START + HORIZON
    assert calendars(Schedule(cron="0 22 * * *", start=date(2026, 2, 1)), START).until == START + HORIZON


def test_a_schedule_whose_end_is_within_reach_has_nothing_to_renew() -> None:
    found = calendars(Schedule(cron="0 22 * * *", end=date(2026, 1, 18)), START)
    assert [moment.day for moment in times(found)] == [15, 16, 17]
    assert found.until is None
    assert calendars(Schedule(cron="0 22 * * *", end=date(2025, 1, 1)), START).specs == ()


def test_a_29_february_has_five_of_them_ahead() -> None:
    found = calendars(Schedule(cron="0 3 29 2 *", timezone="Europe/London"), START)
    assert [moment.year for moment in times(found)] == [2028, 2032, 2036, 2040, 2044]
    assert found.until == times(found)[-1]


def test_every_minute_of_working_days_reaches_over_two_months() -> None:
    found = calendars(Schedule(cron="* * * * 1-5", timezone="Europe/London"), START)
    assert found.until is not None
    assert found.until - START > timedelta(days=60)
    assert len(found.specs) < 20


def test_more_entries_than_the_engine_should_have_shorten_the_reach() -> None:
    schedule = Schedule(cron="*/7 9-17 * * 1-5", timezone="Australia/Lord_Howe")
    found = calendars(schedule, START, timedelta(days=40 * 365))
    assert 0 < len(found.specs) <= MOST_ENTRIES
    assert found.until is not None
    assert times(found) == [one.at for one in fire_times(schedule, START, found.until)]


def test_differences_name_what_only_one_side_has() -> None:
    hours = [START + timedelta(hours=number) for number in range(4)]
    late = [hour + timedelta(seconds=90) for hour in hours]
    assert list(differences(hours, hours)) == []
    assert list(differences(hours, [hours[0], *hours[2:]])) == [(hours[1], None)]
    assert list(differences(hours[:3], hours)) == [(None, hours[3])]
    assert list(differences(hours, late, timedelta(minutes=2))) == []
    assert len(list(differences(hours, late, timedelta(minutes=1)))) == 8
