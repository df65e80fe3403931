"""Windows against the clock on the wall, minute by minute, also where the clocks are changed."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.open_times import open_spans
from workflows.moments import DAYS
from workflows.opening import OpenTimes, Span
from workflows.running import Window

CHANGES = {
    "Europe/London": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    "America/Santiago": (datetime(2026, 4, 5, 3, tzinfo=UTC), datetime(2026, 9, 6, 4, tzinfo=UTC)),
    "UTC": (datetime(2026, 6, 1, tzinfo=UTC),),
}
"""Half an hour is changed on Lord Howe, midnight itself in Chile."""
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@st.composite
def a_window(draw: st.DrawFn) -> Window:
    start, end = draw(TIMES), draw(TIMES)
    if start == end:
        start = end = time(0)
    days = draw(st.sets(st.sampled_from(DAYS), min_size=1))
    return Window(
        days=tuple(day for day in DAYS if day in days), start=start, end=end, timezone=draw(st.sampled_from([*CHANGES]))
    )


def shows_a_time_in(window: Window, moment: datetime) -> bool:
    """The law, said in another way: some day of the window has a stretch of the wall's clock that holds the moment."""
    wall = moment.astimezone(ZoneInfo(window.timezone)).replace(tzinfo=None)
    for back in (0, 1):
        day = (wall - timedelta(days=back)).date()
        begin, end = datetime.combine(day, window.start), datetime.combine(day, window.end)
        end += timedelta(days=1) if end <= begin else timedelta(0)
        if DAYS[day.weekday()] in window.days and begin <= wall < end:
            return True
    return False


@settings(max_examples=40, deadline=None)
@given(st.lists(a_window(), min_size=1, max_size=3), st.data())
def test_over_a_fortnight_nothing_is_open_outside_and_nothing_closed_inside(
    windows: list[Window], data: st.DataObject
) -> None:
    zone = data.draw(st.sampled_from([window.timezone for window in windows]))
    after = data.draw(st.sampled_from(CHANGES[zone])) - timedelta(days=7, minutes=data.draw(st.integers(0, 90)))
    until = after + timedelta(days=14)
    spans = open_spans(windows, after, until)
    moment = after
    while moment < until:
        is_open = any(span.start <= moment < span.end for span in spans)
        assert is_open == any(shows_a_time_in(window, moment) for window in windows), moment
        moment += timedelta(minutes=5)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(set(edges))


def test_a_night_over_the_end_of_summer_time_has_an_hour_more() -> None:
    night = Window(start=time(22), end=time(6), timezone="Europe/London", days=("sat",))
    [span] = open_spans([night], datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 10, 28, tzinfo=UTC))
    assert span == Span(start=datetime(2026, 10, 24, 21, tzinfo=UTC), end=datetime(2026, 10, 25, 6, tzinfo=UTC))


def test_a_window_that_begins_in_a_gap_opens_at_its_end() -> None:
    early = Window(start=time(1, 30), end=time(5), timezone="Europe/London", days=("sun",))
    [span] = open_spans([early], datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert span.start == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_windows_that_touch_are_one_span() -> None:
    always = Window(start=time(0), end=time(0))
    after = datetime(2026, 3, 27, 5, tzinfo=UTC)
    assert open_spans([always], after, after + timedelta(days=9)) == [Span(start=after, end=after + timedelta(days=9))]


@pytest.mark.parametrize(("minute", "open_until", "closed_until"), [(0, None, 5), (5, 9, None), (9, None, 20)])
def test_a_moment_is_open_until_or_closed_until(minute: int, open_until: int | None, closed_until: int | None) -> None:
    def at(number: int) -> datetime:
        return datetime(2026, 1, 1, 0, number, tzinfo=UTC)

    opening = OpenTimes(spans=(Span(start=at(5), end=at(9)),), known_until=at(20)).at(at(minute))
    assert opening.open_until == (None if open_until is None else at(open_until))
    assert opening.closed_until == (None if closed_until is None else at(closed_until))
