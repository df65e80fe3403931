"""The clock that stands still outside a policy's windows, and while a run is paused."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.reporting.clock import Clock, clock_of
from workflows.running import Window

NIGHT = Window.model_validate({"from": "19:00", "to": "07:00", "timezone": "Europe/Berlin"})
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_a_night_of_twelve_hours_is_twelve_hours_of_every_day() -> None:
    clock = clock_of([NIGHT], NOON, NOON + timedelta(days=10))
    assert clock.elapsed(NOON.timestamp(), NOON.timestamp() + 3 * 86_400) == 3 * 12 * 3600


def test_a_pause_is_no_open_time() -> None:
    start = NOON.timestamp() + 6 * 3600
    clock = clock_of([NIGHT], NOON, NOON + timedelta(days=10)).without([(start, start + 3600)])
    assert clock.elapsed(NOON.timestamp(), NOON.timestamp() + 86_400) == 11 * 3600
    assert Clock().without([(10.0, 20.0)]).elapsed(0.0, 100.0) == 90.0


def test_without_windows_it_never_stops() -> None:
    clock = clock_of((), NOON, NOON)
    assert not clock.stops
    assert clock.elapsed(1.0, 1e9) == 1e9 - 1


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20), st.floats(0, 5000))
def test_a_reading_is_found_again_at_the_moment_of_which_it_is(lengths: list[int], at: float) -> None:
    edges = np.cumsum(lengths).astype(float)
    clock = Clock([(float(edges[i]), float(edges[i + 1])) for i in range(0, len(edges) - 1, 2)])
    there = np.array([at])
    moment = clock.moment(clock.reading(there))
    if clock.is_open(at) and at > clock.spans[0][0]:
        assert abs(moment[0] - at) < 1e-6
        assert clock.next_open(there)[0] == at
    else:
        assert moment[0] <= max(at, clock.spans[0][0]) + 1e-6
        assert clock.next_open(there)[0] > at or clock.is_open(at)
