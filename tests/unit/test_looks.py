"""When a job that may exist is looked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.submission import LOOKS, pauses


@pytest.mark.parametrize(
    ("silent", "wanted"),
    [
        (0.0, [0.0, 1.0, 2.0, 5.0, 10.0, 12.0]),
        (20.0, [0.0, 1.0, 2.0, 7.0]),
        (30.0, [0.0, 1.0, 2.0]),
        (86_400.0, [0.0, 1.0, 2.0]),
    ],
)
def test_what_nobody_sent_for_a_while_is_looked_for_no_longer_than_it_must_be(
    silent: float, wanted: list[float]
) -> None:
    assert pauses(LOOKS, silent) == wanted


@given(st.floats(0, 1e6))
def test_the_last_look_is_never_too_early_nor_the_first_alone(silent: float) -> None:
    found = pauses(LOOKS, silent)
    assert len(found) >= 3
    assert all(pause >= 0 for pause in found)
    assert silent + sum(found) >= LOOKS[-1]
