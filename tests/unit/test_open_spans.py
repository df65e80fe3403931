"""The clock that stands still outside a policy's windows."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.reporting.clock import ALWAYS, Clock, open_spans
from workflows.running import Window


def spans(start: str, days: int, *windows: dict[str, str]) -> list[tuple[str, str]]:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = open_spans([Window.model_validate(one) for one in windows], begin, begin + timedelta(days=days))
    return [(_text(opens), _text(closes)) for opens, closes in found]


def _text(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %H:%M}"


def test_a_night_ends_on_the_next_day_and_follows_its_zone_through_a_change_of_the_clocks() -> None:
    night = {"from": "19:00", "to": "07:00", "timezone": "Europe/Berlin"}
    assert spans("2026-03-28T12:00", 2, night) == [("28 18:00", "29 05:00"), ("29 17:00", "30 05:00")]


def test_windows_that_touch_are_one() -> None:
    assert spans("2026-05-01T12:00", 1, {"from": "18:00", "to": "20:00"}, {"from": "20:00", "to": "22:00"}) == [
        ("01 18:00", "01 22:00")
    ]
    assert spans("2026-05-02T00:00", 2, {"days": "sat,sun", "from": "00:00", "to": "00:00"}) == [
        ("02 00:00", "04 00:00")
    ]


def test_without_windows_it_is_always_open() -> None:
    assert open_spans((), datetime.now(UTC), datetime.now(UTC)) == ALWAYS


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
