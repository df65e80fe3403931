"""The forecast of a pool: what is told of the future, and what is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.forecast import trend
from workflows.pools import Level

T0 = datetime(2026, 5, 1, tzinfo=UTC)


def levels(used: list[int], *, every: int = 60, capacity: int = 10**9) -> list[Level]:
    return [Level(at=T0 + timedelta(seconds=i * every), used=one, capacity=capacity) for i, one in enumerate(used)]


@given(slope=st.integers(1, 1000), wild=st.sets(st.integers(0, 58), max_size=12))
def test_a_line_is_found_although_every_fifth_sample_is_wild(slope: int, wild: set[int]) -> None:
    used = [10**6 + slope * 60 * i + (40_000_000 if i in wild else 0) for i in range(60)]
    found = trend(levels(used))
    assert found is not None
    assert found.low <= slope * 1.0001 and found.high >= slope * 0.9999
    if not wild:
        assert found.slope == pytest.approx(slope)
        assert found.time_to(used[-1] + slope * 3600) == timedelta(hours=1)


def test_the_range_of_a_noisy_level_holds_the_truth_and_is_wider() -> None:
    used = [10**7 + 100 * 60 * i + (i * 7919 % 101 - 50) * 2000 for i in range(60)]
    found = trend(levels(used))
    assert found is not None and found.low < 100 < found.high
    soon, late = found.range_to(used[-1] + 5 * 10**6)
    assert soon is not None and late is not None and soon < late


def test_a_level_that_falls_never_reaches_a_mark_above() -> None:
    found = trend(levels([1000 - i for i in range(20)]))
    assert found is not None and found.time_to(2000) is None and found.time_to(100) == timedelta(0)


def test_what_was_before_a_drain_does_not_count() -> None:
    filling = [800_000_000 - 10_000_000 * (i < 1) for i in range(30)]
    found = trend(levels([*filling, *[500_000_000 + 600 * i for i in range(20)]]))
    assert found is not None and found.slope == pytest.approx(10)


def test_four_samples_are_no_trend() -> None:
    assert trend(levels([1, 2, 3, 4])) is None


def test_a_constant_level_never_reaches_a_mark() -> None:
    found = trend(levels([500_000_000] * 30))
    assert found is not None
    assert (found.slope, found.time_to(10**9), found.range_to(10**9)) == (0.0, None, (None, None))


def test_a_level_that_only_trembles_has_no_time_but_one_before_which_nothing_happens() -> None:
    found = trend(levels([500_000_000 + (i * 7919 % 101 - 50) * 20_000 + i for i in range(60)]))
    assert found is not None and found.low < 0 < found.high
    assert found.time_to(501_000_000) is None
    soon, late = found.range_to(501_000_000)
    assert soon is not None and late is None


def test_five_minutes_of_samples_tell_nothing_of_next_week() -> None:
    found = trend(levels([10**6 + 1000 * i for i in range(6)]))
    assert found is not None
    assert found.time_to(10**6 + 5000 + 60_000) == timedelta(minutes=60)
    assert found.time_to(10**9) is None and found.range_to(10**9)[0] is None


def test_a_small_drain_ends_a_trend_where_the_marks_are_close_together() -> None:
    saw = [800_000_000 + 1_000_000 * i for i in range(30)] + [800_000_000 + 60_000 * i for i in range(20)]
    found, blind = trend(levels(saw), fall=1.5), trend(levels(saw))
    assert found is not None and found.slope == pytest.approx(1000)
    assert found.time_to(802_000_000) is not None
    assert blind is not None and blind.time_to(802_000_000) is None


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), st.integers(0, 2 * 10**9))
def test_whatever_was_measured_no_time_is_negative_and_the_expected_one_lies_in_its_range(
    used: list[int], target: int
) -> None:
    found = trend(levels(used))
    if found is None:
        return
    expected, (soon, late) = found.time_to(target), found.range_to(target)
    if expected is not None:
        assert soon is not None and timedelta(0) <= soon <= expected
        assert late is None or late >= expected
        assert expected <= 20 * timedelta(minutes=len(used))
