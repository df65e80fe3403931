"""Fire times are what the documentation says, in zones whose clocks do odd things."""

import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.fire_times import FireTime, fire_times
from tests.documented_times import CRONS, DSTS, MORE_SPANS, SPANS, documented_times, span
from workflows.cron import parse_cron
from workflows.triggers import Dst, Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)
EACH_WORD = (Dst(), Dst(gap="skip", overlap="second"), Dst(overlap="both"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def on(schedule: Schedule, day: str) -> list[FireTime]:
    """What fires on a day of the schedule's zone."""
    around = fire_times(schedule, at(day) - timedelta(days=2), at(day) + timedelta(days=3))
    return [one for one in around if one.local.date() == date.fromisoformat(day)]


def said(found: list[FireTime]) -> list[tuple[str, str | None]]:
    return [(f"{one.local:%H:%M%z}", one.note) for one in found]


def test_there_are_40_expressions_and_8_zones() -> None:
    assert (len(set(CRONS)), len(set(SPANS))) == (40, 8)


@pytest.mark.parametrize(("zone", "first"), [*SPANS, *MORE_SPANS])
def test_every_expression_fires_for_two_years_when_the_documentation_says(zone: str, first: str) -> None:
    where, compared = span(zone, first), 0
    for cron in CRONS:
        for dst in EACH_WORD if parse_cron(cron).fixed else EACH_WORD[:1]:
            schedule = Schedule(cron=cron, timezone=zone, dst=dst)
            ours = [one.at for one in fire_times(schedule, where.after, where.until)]
            assert ours == documented_times(where, cron, dst), (zone, cron, dst)
            compared += len(ours)
    assert compared > 90_000


def test_a_time_that_does_not_exist_is_shifted_by_the_gap() -> None:
    berlin = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    assert said(on(berlin, "2026-03-29")) == [("03:30+0200", "02:30 does not exist on this day: shifted to 03:30")]
    howe = Schedule(cron="15 2 * * *", timezone="Australia/Lord_Howe")
    assert said(on(howe, "2026-10-04")) == [("02:45+1100", "02:15 does not exist on this day: shifted to 02:45")]


def test_a_day_that_begins_an_hour_late_still_has_its_daily_start() -> None:
    beirut = Schedule(cron="@daily", timezone="Asia/Beirut")
    assert said(on(beirut, "2026-03-29")) == [("01:00+0300", "00:00 does not exist on this day: shifted to 01:00")]


def test_a_time_that_does_not_exist_can_be_skipped() -> None:
    berlin = Schedule(cron="30 2 * * *", timezone="Europe/Berlin", dst=Dst(gap="skip"))
    assert on(berlin, "2026-03-29") == []
    assert said(on(berlin, "2026-03-30")) == [("02:30+0200", None)]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("first", [("01:30+0100", "01:30 comes twice: the first")]),
        ("second", [("01:30+0000", "01:30 comes twice: the second")]),
        ("both", [("01:30+0100", "01:30 comes twice: the first"), ("01:30+0000", "01:30 comes twice: the second")]),
    ],
)
def test_a_time_that_comes_twice_fires_as_the_policy_says(overlap: str, expected: list[tuple[str, str]]) -> None:
    dst = Dst.model_validate({"overlap": overlap})
    assert said(on(Schedule(cron="30 1 * * *", timezone="Europe/London", dst=dst), "2026-10-25")) == expected


def test_an_hourly_schedule_has_23_and_25_starts_on_the_days_of_the_change() -> None:
    hourly = Schedule(cron="0 * * * *", timezone="Europe/London")
    assert [len(on(hourly, day)) for day in ("2026-03-28", "2026-03-29", "2026-10-25")] == [24, 23, 25]
    assert [one.at.hour for one in on(hourly, "2026-10-25")][:4] == [23, 0, 1, 2]


def test_a_repeated_midnight_keeps_the_order_of_the_real_minutes() -> None:
    newfoundland = Schedule(cron="*/30 0,23 * * *", timezone="America/St_Johns")
    found = list(fire_times(newfoundland, at("2010-11-07T01:00"), at("2010-11-07T05:00")))
    assert [f"{one.local:%d %H:%M%z}" for one in found] == [
        "06 23:00-0230", "06 23:30-0230", "07 00:00-0230", "06 23:30-0330", "07 00:00-0330", "07 00:30-0330",
    ]  # fmt: skip


def test_a_day_that_a_zone_left_out_starts_with_the_next_one_and_only_once() -> None:
    samoa = Schedule(cron="0 3 * * *", timezone="Pacific/Apia")
    found = list(fire_times(samoa, at("2011-12-29T12:00"), at("2011-12-31T13:30")))
    assert [f"{one.local:%m-%d %H:%M}" for one in found] == ["12-29 03:00", "12-31 03:00", "01-01 03:00"]
    assert found[1].note == "2011-12-30 03:00 does not exist: shifted to 2011-12-31 03:00"


def test_a_time_shifted_into_another_day_is_found_from_that_day_on() -> None:
    samoa = Schedule(cron="0 3 30 12 *", timezone="Pacific/Apia")
    found = next(fire_times(samoa, at("2011-12-30T12:59")))
    assert f"{found.local:%m-%d %H:%M} {found.at:%m-%d %H:%M}" == "12-31 03:00 12-30 13:00"


def test_a_time_shifted_into_another_day_fires_where_both_days_may() -> None:
    samoa = {"cron": "0 3 30 12 *", "timezone": "Pacific/Apia"}
    assert len(on(Schedule(**samoa), "2011-12-31")) == 1
    for day in (date(2011, 12, 30), date(2011, 12, 31)):
        assert on(Schedule(**samoa, skip_dates=(day,)), "2011-12-31") == []
    assert on(Schedule(**samoa, end=date(2011, 12, 31)), "2011-12-31") == []


def test_days_to_skip_and_bounds_are_days_of_the_zone() -> None:
    kiwi = Schedule(
        cron="0 8 * * *",
        timezone="Pacific/Auckland",
        start=date(2026, 12, 24),
        end=date(2026, 12, 28),
        skip_dates=(date(2026, 12, 25),),
    )
    found = list(fire_times(kiwi, START))
    assert [f"{one.at:%d %H:%M}" for one in found] == ["23 19:00", "25 19:00", "26 19:00"]


def test_the_first_moment_is_left_out_and_the_last_is_in() -> None:
    noon = Schedule(cron="0 12 * * *")
    assert [one.at.day for one in fire_times(noon, at("2026-01-01T12:00"), at("2026-01-03T12:00"))] == [2, 3]


def test_two_years_of_every_quarter_of_an_hour_take_less_than_a_second() -> None:
    schedule = Schedule(cron="*/15 * * * *", timezone="Europe/London")
    began = time.process_time()
    assert sum(1 for _ in fire_times(schedule, START, START + timedelta(days=731))) == 731 * 96
    assert time.process_time() - began < 1


def test_a_rare_day_is_found_at_once_and_a_schedule_that_is_over_ends() -> None:
    began = time.process_time()
    leap = Schedule(cron="0 0 29 2 *", timezone="Europe/London")
    assert [one.at.year for one in islice(fire_times(leap, at("2093-01-01")), 2)] == [2096, 2104]
    assert list(fire_times(leap.model_copy(update={"end": date(2027, 1, 1)}), START)) == []
    assert sum(1 for _ in fire_times(leap, START)) == 42  # To the last day that a policy can name.
    assert time.process_time() - began < 0.5


days = st.dates(date(2026, 2, 20), date(2026, 4, 20))
schedules = st.builds(
    Schedule,
    cron=st.sampled_from(CRONS),
    timezone=st.sampled_from([zone for zone, _ in (*SPANS, *MORE_SPANS)]),
    skip_dates=st.lists(days, max_size=20).map(tuple),
    dst=st.sampled_from(DSTS),
    start=st.none() | days,
    end=st.none() | days.map(lambda day: day + timedelta(days=90)),
)
moments = st.datetimes(datetime(2026, 2, 1), datetime(2026, 5, 1), timezones=st.just(UTC))


@settings(max_examples=100, deadline=None)
@given(schedules, moments, st.integers(0, 90))
def test_fire_times_rise_and_keep_to_their_bounds_and_days(schedule: Schedule, after: datetime, length: int) -> None:
    until = after + timedelta(days=length)
    found = list(fire_times(schedule, after, until))
    assert all(one.at < other.at for one, other in pairwise(found))
    assert all(after < one.at <= until and one.at.utcoffset() == timedelta(0) for one in found)
    assert all(one.local.astimezone(UTC) == one.at for one in found)
    assert not {one.local.date() for one in found} & set(schedule.skip_dates)
    assert all(schedule.start is None or one.local.date() >= schedule.start for one in found)
    assert all(schedule.end is None or one.local.date() < schedule.end for one in found)


@settings(max_examples=50, deadline=None)
@given(schedules, moments, st.integers(0, 60), st.integers(0, 60))
def test_fire_times_do_not_depend_on_where_one_begins_to_look(
    schedule: Schedule, after: datetime, first: int, second: int
) -> None:
    middle = after + timedelta(days=first)
    until = middle + timedelta(days=second)
    parts = [*fire_times(schedule, after, middle), *fire_times(schedule, middle, until)]
    assert parts == list(fire_times(schedule, after, until))


@settings(max_examples=40, deadline=None)
@given(schedules)
def test_days_to_skip_and_bounds_are_left_out_as_documented(schedule: Schedule) -> None:
    where = span("Africa/Cairo", "2026-01-01")
    schedule = schedule.model_copy(update={"timezone": where.zone})
    ours = [one.at for one in fire_times(schedule, where.after, where.until)]
    assert ours == documented_times(where, schedule.cron, schedule.dst, schedule)
