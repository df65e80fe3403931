"""How a run ended, from what is known of it."""

import pytest

from tests.unit.test_control import a_plan
from workflows.plan import OutcomeCounts
from workflows.run import RunState, Stop
from workflows.verdict import verdict

CANCELLED = Stop(why="cancelled by bob", by="bob", state=RunState.CANCELLED)
LATE = Stop(why="run.deadline passed", by="engine", state=RunState.FAILED)
ALL_DONE = OutcomeCounts(done=10)


@pytest.mark.parametrize(
    ("stop", "trouble", "outcomes", "state"),
    [
        (None, None, ALL_DONE, RunState.SUCCEEDED),
        (None, None, OutcomeCounts(done=4, skipped={"already_done": 6}), RunState.SUCCEEDED),
        (None, None, OutcomeCounts(done=9, failed={"timeout": 1}), RunState.FAILED),
        (None, None, OutcomeCounts(done=9, cancelled=1), RunState.FAILED),
        (None, "a part of the run failed", ALL_DONE, RunState.FAILED),
        (CANCELLED, None, OutcomeCounts(done=4, cancelled=6), RunState.CANCELLED),
        (LATE, None, OutcomeCounts(done=4, cancelled=6), RunState.FAILED),
        (None, None, OutcomeCounts(done=9), RunState.FAILED),
        (CANCELLED, None, OutcomeCounts(done=9), RunState.FAILED),
    ],
)
def test_a_run_ends_as_its_files_did(
    stop: Stop | None, trouble: str | None, outcomes: OutcomeCounts, state: RunState
) -> None:
    assert verdict(ended_early=None, stop=stop, trouble=trouble, plan=a_plan(), outcomes=outcomes)[0] is state


def test_counts_that_do_not_add_up_are_named() -> None:
    state, trouble = verdict(ended_early=None, stop=None, trouble=None, plan=a_plan(), outcomes=OutcomeCounts(done=11))
    assert (state, trouble) == (RunState.FAILED, "11 outcomes do not add up to 10 planned files")


def test_a_refused_plan_has_no_outcomes() -> None:
    ended = verdict(
        ended_early=RunState.REFUSED, stop=None, trouble="too many", plan=a_plan(), outcomes=OutcomeCounts()
    )
    assert ended == (RunState.REFUSED, "too many")
