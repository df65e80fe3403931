"""The rules of a watched pool, over simulated levels and any numbers."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pool_entries import an_entry
from workflows.pool_control import Act, Decision, after_run, decide, lower_bytes, state_of
from workflows.pools import Level, PoolBook, PoolState

T0 = datetime(2026, 5, 1, tzinfo=UTC)
GIB = 1 << 30


def level(used: int, *, at: float = 0, capacity: int = 100 * GIB) -> Level:
    return Level(at=T0 + timedelta(seconds=at), used=used, capacity=capacity)


def adds_up(decision: Decision) -> None:
    found = dict(decision.numbers)
    assert found["lower_bytes"] == int(found["lower"] * found["capacity"] / 100)
    assert found["need"] == found["used"] - found["lower_bytes"] - found["in_flight"] - found["confirmed"]
    room = found["room"]
    assert found["tranche"] == max(0, found["need"] if room is None else min(found["need"], room))


def test_a_drain_waits_until_the_level_was_above_for_sustain() -> None:
    entry = an_entry("upper: 85%, lower: 70%, sustain: 5m")
    first = decide(PoolBook(), [entry], level(90 * GIB), {})
    assert (first.act, state_of(first.book, None)) == (Act.REST, PoolState.ABOVE)
    assert decide(first.book, [entry], level(90 * GIB, at=299), {}).act is Act.REST
    assert decide(first.book, [entry], level(90 * GIB, at=300), {}).act is Act.DRAIN


def test_a_dip_below_the_mark_starts_sustain_anew() -> None:
    entry = an_entry("upper: 85%, lower: 70%, sustain: 5m")
    book = decide(PoolBook(), [entry], level(90 * GIB), {}).book
    book = decide(book, [entry], level(84 * GIB, at=200), {}).book
    book = decide(book, [entry], level(90 * GIB, at=210), {}).book
    assert decide(book, [entry], level(90 * GIB, at=400), {}).act is Act.REST


def test_nothing_drains_again_before_hold_down_is_over() -> None:
    entry = an_entry("upper: 85%, lower: 70%, hold_down: 30m")
    book = decide(PoolBook(), [entry], level(90 * GIB), {}).book
    ended = decide(book, [entry], level(70 * GIB, at=60), {})
    assert (ended.act, state_of(ended.book, level(0, at=60))) == (Act.END, PoolState.HOLDING)
    assert decide(ended.book, [entry], level(90 * GIB, at=1000), {}).act is Act.REST
    assert decide(ended.book, [entry], level(90 * GIB, at=60 + 1800), {}).act is Act.DRAIN


def test_a_critical_level_minds_neither_sustain_nor_hold_down_and_alerts_once() -> None:
    entry = an_entry("upper: 85%, lower: 70%, critical: 95%, sustain: 1h, hold_down: 1h")
    book = PoolBook(hold_until=T0 + timedelta(hours=1))
    first = decide(book, [entry], level(96 * GIB), {})
    assert first.act is Act.DRAIN and first.alerts and state_of(first.book, None) is PoolState.CRITICAL
    assert first.book.drain is not None and first.book.drain.urgent
    assert decide(first.book, [entry], level(96 * GIB, at=9), {}).alerts == ()


def test_the_next_policy_has_its_turn_when_the_first_has_nothing_left_and_then_the_pool_is_blocked() -> None:
    first, second = an_entry(name="zebra", priority=1), an_entry(name="ant")
    one = decide(PoolBook(), [second, first], level(90 * GIB), {})
    assert one.entry == first
    book = after_run(one.book, first, planned=0, done=0, before=level(90 * GIB), now=T0)
    two = decide(book, [second, first], level(90 * GIB, at=60), {})
    assert (two.act, two.entry) == (Act.DRAIN, second)
    book = after_run(two.book, second, planned=0, done=0, before=level(90 * GIB), now=T0)
    three = decide(book, [second, first], level(90 * GIB, at=120), {})
    assert three.act is Act.BLOCK and "cannot be reached" in three.alerts[0]
    assert decide(three.book, [second, first], level(90 * GIB, at=130), {}).act is Act.REST
    assert decide(three.book, [second, first], level(92 * GIB, at=130), {}).act is Act.DRAIN


def test_a_drain_without_progress_gives_up_with_an_alert() -> None:
    entry = an_entry("upper: 85%, lower: 70%, give_up_after: 2h")
    book = decide(PoolBook(), [entry], level(90 * GIB), {}).book
    assert decide(book, [entry], level(90 * GIB, at=7199), {}).act is Act.DRAIN
    over = decide(book, [entry], level(90 * GIB, at=7200), {})
    assert over.act is Act.BLOCK and "give_up_after" in over.alerts[0]


def test_a_destination_is_never_filled_beyond_its_mark() -> None:
    entry = an_entry("upper: 85%, lower: 70%, max_utilisation: 80%, destination_pool: nearline")
    there = {"nearline": level(75, capacity=100)}
    bounded = decide(PoolBook(), [entry], level(90 * GIB), there)
    assert (bounded.act, bounded.tranche) == (Act.DRAIN, 5)
    assert decide(PoolBook(), [entry], level(90 * GIB), {"nearline": level(80, capacity=100)}).act is Act.BLOCK
    assert decide(PoolBook(), [entry], level(90 * GIB), {}).act is Act.BLOCK


def test_what_the_hub_confirmed_is_not_moved_again_while_its_count_lags() -> None:
    entry = an_entry()
    one = decide(PoolBook(), [entry], level(90 * GIB), {})
    book = after_run(one.book, entry, planned=one.tranche, done=one.tranche, before=level(90 * GIB), now=T0)
    lagging = decide(book, [entry], level(90 * GIB, at=5), {})
    assert lagging.act is Act.SETTLE and lagging.numbers["confirmed"] == 20 * GIB
    assert decide(book, [entry], level(70 * GIB, at=6), {}).act is Act.END
    assert decide(book, [entry], level(90 * GIB, at=600), {}).tranche == 20 * GIB


def test_files_between_the_marks_are_copied_after_a_drain() -> None:
    entry = an_entry("upper: 85%, lower: 70%, premigrate: 55%, hold_down: 1h")
    book = decide(PoolBook(), [entry], level(90 * GIB), {}).book
    book = decide(book, [entry], level(70 * GIB, at=60), {}).book
    copied = decide(book, [entry], level(70 * GIB, at=61), {})
    assert (copied.act, copied.tranche) == (Act.PREMIGRATE, 15 * GIB)
    assert decide(copied.book, [entry], level(70 * GIB, at=62), {}).act is Act.REST


@given(
    used=st.integers(0, 2**60),
    capacity=st.integers(1, 2**60),
    lower=st.integers(1, 98),
    room=st.none() | st.tuples(st.integers(0, 2**60), st.integers(1, 2**60), st.integers(1, 100)),
    in_flight=st.integers(0, 2**50),
)
def test_the_numbers_of_every_decision_add_up(
    used: int, capacity: int, lower: int, room: tuple[int, int, int] | None, in_flight: int
) -> None:
    bound = "" if room is None else f", max_utilisation: {room[2]}%, destination_pool: nearline"
    entry = an_entry(f"upper: {lower + 1}%, lower: {lower}%{bound}")
    there = {} if room is None else {"nearline": level(room[0], capacity=room[1])}
    decision = decide(PoolBook(), [entry], level(used, capacity=capacity), there, in_flight)
    if decision.act is Act.REST:
        assert used * 100 < (lower + 1) * capacity
        return
    found = dict(decision.numbers)
    assert found["lower_bytes"] == lower * capacity // 100
    assert found["need"] == used - lower * capacity // 100 - in_flight
    if room is not None:
        assert found["room"] == room[2] * room[1] // 100 - room[0]
        assert decision.tranche <= max(0, int(str(found["room"])))
    assert used - decision.tranche >= lower * capacity // 100 or decision.tranche == 0


class Pool:
    """A pool that files arrive in, and whose Hub counts its used space late."""

    def __init__(self, used: int, arriving: int, lag: int) -> None:
        self.used, self.arriving, self.lag = used, arriving, lag
        self.shown = [used] * (lag + 1)
        self.lowest = used

    def second(self, freed: int = 0) -> None:
        self.used += self.arriving - freed
        self.lowest = min(self.lowest, self.used)
        self.shown = [*self.shown[1:], self.used]


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(60, 99), arriving=st.integers(0, 2000), lag=st.integers(0, 60),
    file=st.integers(1, 200_000), bad=st.integers(0, 3),
)  # fmt: skip
def test_an_hour_of_a_pool_does_not_oscillate_and_never_falls_a_file_below_lower(
    start: int, arriving: int, lag: int, file: int, bad: int
) -> None:
    entry = an_entry("upper: 85%, lower: 70%, sustain: 2m, hold_down: 10m, check_every: 1m")
    pool, book = Pool(start * 100_000, arriving, lag), PoolBook()
    drains, second, runs = [], 0, 0
    while second < 3600:
        decision = decide(book, [entry], level(pool.shown[0], at=second, capacity=10_000_000), {})
        book, busy = decision.book, 60
        if decision.act is Act.DRAIN:
            adds_up(decision)
            drains.append((second, decision.book.drain.since if decision.book.drain else None))
            runs += 1
            moved = 0 if runs <= bad and runs > 1 else -(-decision.tranche // file) * file  # whole files
            moved = moved or file  # a run that mostly fails still moves something
            busy = 30
            before = level(pool.shown[0], capacity=10_000_000)
            for step in range(busy):
                pool.second(moved if step == busy - 1 else 0)
            second += busy
            now = T0 + timedelta(seconds=second)
            book = after_run(book, entry, planned=moved, done=moved, before=before, now=now)
            continue
        for _ in range(busy):
            pool.second()
        second += busy
    lowest = lower_bytes(entry, level(0, capacity=10_000_000)) - file
    assert pool.lowest >= min(lowest, start * 100_000)
    sessions = sorted({since for _, since in drains if since is not None})
    for one, two in itertools.pairwise(sessions):
        assert two - one >= timedelta(minutes=10)
