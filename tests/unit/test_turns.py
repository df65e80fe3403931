"""Whose turn it is: the overlap rules, the order of turns, and how many may wait."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog import load_policy
from workflows.run import RunRequest
from workflows.starts import Cause, OpenRun, Overlap, Waiting, Wish, wish_for
from workflows.turns import MOST_WAITING, MOST_WAITING_BYTES, Turn, in_turn, may_begin, may_wait, turn_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXT = "version: 1\nname: {}\nsite: london\nselect: {{from: {{space: p}}}}\nrun: {{workflow: migrate, priority: {}}}\n"


def wish(policy: str = "a", overlap: Overlap = "skip", priority: int = 3, key: str = "k") -> Wish:
    request = RunRequest(
        run="", policy=load_policy(TEXT.format(policy, priority).encode(), "x"), actor="ann", reason="why"
    )
    return wish_for(key=key, request=request, cause=Cause(kind="manual", text="why"), overlap=overlap)


def waits(one: Wish, minutes: int = 0) -> Waiting:
    return Waiting(wish=one, since=NOON + timedelta(minutes=minutes), why="busy")


OPEN = OpenRun(run="a-1", policy="a", since=NOON)
OTHER = OpenRun(run="b-1", policy="b", since=NOON)


@pytest.mark.parametrize("overlap", ["skip", "queue_one", "queue_all", "cancel_running", "allow"])
def test_without_another_run_of_the_policy_a_start_begins(overlap: Overlap) -> None:
    assert turn_of(wish(overlap=overlap), [OTHER], [waits(wish("b"))]) == Turn("begin")


@pytest.mark.parametrize(
    ("overlap", "alone", "behind_another"),
    [
        ("skip", "skip", "skip"),
        ("queue_one", "queue", "skip"),
        ("queue_all", "queue", "queue"),
        ("allow", "begin", "begin"),
    ],
)
def test_an_open_run_is_met_as_the_overlap_says(overlap: Overlap, alone: str, behind_another: str) -> None:
    assert turn_of(wish(overlap=overlap), [OPEN], []).verdict == alone
    assert turn_of(wish(overlap=overlap), [OPEN], [waits(wish())]).verdict == behind_another


def test_cancel_running_ends_what_runs_and_replaces_what_waits() -> None:
    before = waits(wish(key="earlier"))
    turn = turn_of(wish(overlap="cancel_running"), [OPEN, OTHER], [before, waits(wish("b"))])
    assert (turn.verdict, turn.cancel, turn.drop) == ("queue", ("a-1",), (before,))


def test_a_start_that_is_skipped_names_what_is_in_its_way() -> None:
    assert "a-1" in turn_of(wish(), [OPEN], []).why


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), max_size=20))
def test_turns_go_by_priority_and_then_by_time(given: list[tuple[int, int]]) -> None:
    waiting = [waits(wish(priority=priority), minutes) for priority, minutes in given]
    order = [(one.wish.priority, one.since) for one in in_turn(waiting)]
    assert order == sorted(order)
    assert len(order) == len(waiting)


def test_a_waiting_start_begins_only_without_another_run_of_its_policy() -> None:
    assert not may_begin(wish("a"), [OPEN])
    assert may_begin(wish("a"), [OTHER])
    assert may_begin(wish("a", overlap="allow"), [OPEN])


def test_so_many_may_wait_and_no_more() -> None:
    waiting = [waits(wish())] * MOST_WAITING
    assert may_wait(wish(), waiting[1:])
    assert not may_wait(wish(), waiting)


def test_waiting_starts_fit_into_one_value_of_the_engine() -> None:
    large = wish().model_copy(update={"request": "x" * (MOST_WAITING_BYTES // 3)})
    assert may_wait(large, [waits(large)])
    assert not may_wait(large, [waits(large), waits(large)])
