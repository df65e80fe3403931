"""Bursts: which events start a run together, when, and how much is taken in one go."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from workflows.bursts import MOST_AT_ONCE, MOST_BEGUN, Burst, handful, joined, may_travel, settled
from workflows.events import MOST_TOGETHER, CloudEvent
from workflows.routes import PolicyRoutes, Route

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(number: int, size: int = 0) -> CloudEvent:
    return CloudEvent(id=f"e{number}", source="test", type="t", data="x" * size)


def route(trigger: int = 0, settle: timedelta = MINUTE) -> Route:
    return Route(trigger=trigger, kind="event", type="t", settle=settle, text="event t")


def table(policy: str = "drain", *routes: Route) -> PolicyRoutes:
    return PolicyRoutes(policy=policy, version=1, digest="d", sites=("london", "paris"), routes=routes or (route(),))


def burst_of(*moments: timedelta, settle: timedelta = MINUTE) -> tuple[Burst, ...]:
    """Let events come at these times after noon, and hand over in between what is due."""
    bursts: tuple[Burst, ...] = ()
    for number, moment in enumerate(moments):
        bursts = joined(bursts, table(), route(settle=settle), event(number), NOON + moment)
    return bursts


def test_a_run_begins_settle_after_the_first_event_however_many_follow() -> None:
    (one,) = burst_of(timedelta(0), timedelta(seconds=30), timedelta(seconds=59))
    assert (one.count, one.due) == (3, NOON + MINUTE)
    assert settled([one], NOON + timedelta(seconds=59)) == []
    assert settled([one], NOON + MINUTE) == [one]


def test_a_burst_is_named_after_its_first_event_and_says_how_many_more() -> None:
    (one,) = burst_of(timedelta(0), timedelta(seconds=1), timedelta(seconds=2))
    assert one.text == "event t: t e0 of test and 2 more"
    assert one.key_at("london") == "drain/london/event-0/event/test/e0"


def test_an_event_that_comes_late_joins_what_was_not_handed_over_yet() -> None:
    (one,) = burst_of(timedelta(0), timedelta(hours=1))
    assert (one.count, one.due) == (2, NOON + MINUTE)


def test_without_settle_each_event_is_a_burst_of_its_own_and_due_at_once() -> None:
    bursts = burst_of(timedelta(0), timedelta(0), settle=timedelta(0))
    assert [one.first for one in bursts] == ["event/test/e0", "event/test/e1"]
    assert settled(bursts, NOON) == list(bursts)


def test_policies_triggers_and_sites_settle_apart() -> None:
    bursts: tuple[Burst, ...] = ()
    after = Route(trigger=2, kind="after", type="t", settle=MINUTE, text="after first")
    ended = CloudEvent(id="r", source="test", type="t", data={"site": "paris"})
    for _ in range(3):
        bursts = joined(bursts, table("a"), route(0), event(1), NOON)
        bursts = joined(bursts, table("a"), route(1), event(1), NOON)
        bursts = joined(bursts, table("b"), route(0), event(1), NOON)
        bursts = joined(bursts, table("a"), after, event(1), NOON)
        bursts = joined(bursts, table("a"), after, ended, NOON)
    assert [(one.policy, one.route.trigger, one.sites, one.count) for one in bursts] == [
        ("a", 0, ("london", "paris"), 3),
        ("a", 1, ("london", "paris"), 3),
        ("b", 0, ("london", "paris"), 3),
        ("a", 2, ("london", "paris"), 3),
        ("a", 2, ("paris",), 3),
    ]


def test_what_settles_when_a_policy_changes_keeps_its_version() -> None:
    (old,) = joined((), table(), route(), event(1), NOON)
    newer = table().model_copy(update={"version": 2, "digest": "e"})
    (same,) = joined((old,), newer, route(), event(2), NOON)
    assert (same.version, same.count) == (1, 2)
    kept, begun = joined((old,), newer, route(settle=2 * MINUTE), event(2), NOON)
    assert (kept, begun.version, begun.due) == (old, 2, NOON + 2 * MINUTE)


def test_some_are_handed_over_at_a_time_the_longest_due_first() -> None:
    bursts: tuple[Burst, ...] = ()
    for number in range(MOST_BEGUN + 5):
        moment = NOON - timedelta(seconds=number)
        bursts = joined(bursts, table(), route(settle=timedelta(0)), event(number), moment)
    due = settled(bursts, NOON)
    assert len(due) == MOST_BEGUN
    assert [one.due for one in due] == sorted(one.due for one in bursts)[:MOST_BEGUN]


@given(st.lists(st.integers(0, 200), min_size=1, max_size=60), st.integers(0, 5))
def test_every_event_is_in_exactly_one_burst(seconds: list[int], settle: int) -> None:
    bursts: tuple[Burst, ...] = ()
    over: list[Burst] = []
    for number, moment in enumerate(sorted(seconds)):
        now = NOON + timedelta(seconds=moment)
        due = settled(bursts, now)
        over += due
        bursts = tuple(one for one in bursts if one not in due)
        bursts = joined(bursts, table(), route(settle=timedelta(seconds=settle)), event(number), now)
    assert sum(one.count for one in (*over, *bursts)) == len(seconds)
    assert len({one.first for one in (*over, *bursts)}) == len(over) + len(bursts)


@given(st.lists(st.integers(0, 65_000), max_size=150))
def test_a_handful_is_never_empty_and_never_too_large_for_one_value(sizes: list[int]) -> None:
    arrived = [event(number, size) for number, size in enumerate(sizes)]
    count = handful(arrived)
    assert 1 <= count <= MOST_AT_ONCE
    taken = sum(len(one.model_dump_json()) for one in arrived[:count])
    assert taken <= MOST_TOGETHER or count == 1


def test_what_is_not_heard_yet_travels_only_when_it_is_little() -> None:
    assert may_travel([])
    assert may_travel([event(number) for number in range(MOST_AT_ONCE)])
    assert not may_travel([event(number) for number in range(MOST_AT_ONCE + 1)])
    assert not may_travel([event(number, 60_000) for number in range(5)])
