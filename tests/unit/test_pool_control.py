"""The rules of a watched pool, over simulated levels and any numbers."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pool_entries import an_entry
from workflows.pool_control import Act, Decision, RunOfDrain, after_run, called_off, decide, lower_bytes, state_of
from workflows.pools import Level, PoolBook, PoolState, Site

T0 = datetime(2026, 5, 1, tzinfo=UTC)
GIB = 1 << 30


def level(used: int, *, at: float = 0, capacity: int = 100 * GIB) -> Level:
    return Level(at=T0 + timedelta(seconds=at), used=used, capacity=capacity)


def a_run(done: int = 0, *, tried: int = 0, why: str = "", run: str = "drain-1") -> RunOfDrain:
    return RunOfDrain(run=run, done=done, tried=tried, why=why)


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
    book = after_run(one.book, first, a_run(), before=level(90 * GIB), now=T0)
    two = decide(book, [second, first], level(90 * GIB, at=60), {})
    assert (two.act, two.entry) == (Act.DRAIN, second)
    book = after_run(two.book, second, a_run(), before=level(90 * GIB), now=T0)
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
    book = after_run(one.book, entry, a_run(one.tranche), before=level(90 * GIB), now=T0)
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


def test_files_that_failed_are_left_out_of_the_next_run_and_do_not_end_the_turn_of_their_policy() -> None:
    entry = an_entry()
    one = decide(PoolBook(), [entry], level(90 * GIB), {})
    book = after_run(one.book, entry, a_run(tried=7, run="drain-1"), before=level(90 * GIB), now=T0)
    two = decide(book, [entry], level(90 * GIB, at=60), {})
    assert two.act is Act.DRAIN and two.book.drain is not None and two.book.drain.tried_in == ("drain-1",)
    book = after_run(two.book, entry, a_run(5 * GIB, tried=1, run="drain-2"), before=level(90 * GIB), now=T0)
    three = decide(book, [entry], level(85 * GIB, at=120), {})
    assert three.act is Act.DRAIN and three.book.drain is not None
    assert three.book.drain.tried_in == ("drain-1", "drain-2")
    book = after_run(three.book, entry, a_run(), before=level(85 * GIB), now=T0)
    four = decide(book, [entry], level(85 * GIB, at=180), {})
    assert four.act is Act.BLOCK
    assert "cannot be reached: drain has nothing left that frees space, 8 files that could not be moved" in four.why


def test_a_policy_of_which_no_run_moves_anything_has_had_its_turn_after_five() -> None:
    entry, book, acts = an_entry(), PoolBook(), []
    for number in range(7):
        decision = decide(book, [entry], level(90 * GIB, at=30 * number), {})
        acts.append(decision.act)
        book = after_run(decision.book, entry, a_run(tried=5), before=level(90 * GIB), now=T0)
    assert acts == [Act.DRAIN] * 5 + [Act.BLOCK, Act.REST]
    assert "5 runs of drain in a row moved nothing" in str(book.blocked)


def test_the_reason_why_a_run_could_not_begin_is_in_the_alert() -> None:
    entry = an_entry()
    one = decide(PoolBook(), [entry], level(90 * GIB), {})
    book = after_run(one.book, entry, a_run(why="run drain-1 refused: max_files"), before=level(90 * GIB), now=T0)
    assert decide(book, [entry], level(90 * GIB, at=9), {}).alerts == (
        "the lower mark cannot be reached: run drain-1 refused: max_files",
    )


def test_each_block_in_a_row_rests_twice_as_long_until_the_pool_is_below_its_mark() -> None:
    entry, book, second, waits = an_entry(), PoolBook(), 0.0, []
    for _ in range(8):
        book = decide(book, [entry], level(90 * GIB, at=second), {}).book
        book = after_run(book, entry, a_run(), before=level(90 * GIB), now=T0)
        book = decide(book, [entry], level(90 * GIB, at=second), {}).book
        assert book.blocked is not None
        waits.append((book.blocked.until - book.blocked.since).total_seconds() / 60)
        second += waits[-1] * 60
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert decide(book, [entry], level(50 * GIB, at=second), {}).book.blocks == 0


def test_a_held_policy_starts_nothing_and_the_drain_goes_on_after_the_hold() -> None:
    entry, hold = an_entry("upper: 85%, lower: 70%, give_up_after: 2h"), Site(held={"drain": "ann froze all"})
    one = decide(PoolBook(), [entry], level(90 * GIB), {}, hold)
    assert (one.act, one.why, state_of(one.book, None)) == (Act.WAIT, "ann froze all", PoolState.DRAINING)
    days_later = decide(one.book, [entry], level(90 * GIB, at=2 * 86_400), {}, hold)
    assert days_later.act is Act.WAIT
    assert decide(days_later.book, [entry], level(90 * GIB, at=2 * 86_400 + 60), {}).act is Act.DRAIN


def test_the_next_policy_acts_while_the_first_is_held_and_nothing_is_given_up_for_its_sake() -> None:
    first, second = an_entry(name="ant"), an_entry(name="bee")
    hold = Site(held={"ant": "ann paused policy ant"})
    one = decide(PoolBook(), [first, second], level(90 * GIB), {}, hold)
    assert (one.act, one.entry) == (Act.DRAIN, second)
    book = after_run(one.book, second, a_run(), before=level(90 * GIB), now=T0)
    two = decide(book, [first, second], level(90 * GIB, at=60), {}, hold)
    assert (two.act, two.why) == (Act.WAIT, "ann paused policy ant")


def test_a_critical_alert_is_sent_though_the_policy_is_held() -> None:
    entry, hold = an_entry("upper: 85%, lower: 70%, critical: 95%"), Site(held={"drain": "ann froze all"})
    assert decide(PoolBook(), [entry], level(96 * GIB), {}, hold).alerts


def test_bytes_that_an_open_run_still_moves_are_waited_for_and_not_planned_again() -> None:
    entry = an_entry()
    part = decide(PoolBook(), [entry], level(90 * GIB), {}, Site(in_flight=15 * GIB, busy={"drain": "run x is open"}))
    assert (part.act, part.why, part.numbers["tranche"]) == (Act.WAIT, "run x is open", 5 * GIB)
    whole = decide(PoolBook(), [entry], level(90 * GIB), {}, Site(in_flight=21 * GIB, busy={"drain": "run x is open"}))
    assert whole.act is Act.SETTLE


def test_a_drain_whose_run_somebody_cancelled_does_not_begin_again_at_once() -> None:
    entry = an_entry("upper: 85%, lower: 70%, critical: 95%, hold_down: 30m")
    book = decide(PoolBook(), [entry], level(90 * GIB), {}).book
    book, why = called_off(book, entry, "drain-1", used=90 * GIB, now=T0)
    assert "drain-1 was cancelled" in why and "no drain before 2026-05-01 00:30" in why
    assert state_of(book, level(90 * GIB)) is PoolState.BLOCKED
    assert decide(book, [entry], level(97 * GIB, at=1799), {}).act is Act.REST
    assert decide(book, [entry], level(90 * GIB, at=1800), {}).act is Act.DRAIN


def test_copying_between_the_marks_waits_for_a_hold_and_never_fills_the_destination() -> None:
    entry = an_entry("upper: 85%, lower: 70%, premigrate: 55%, max_utilisation: 80%, destination_pool: nearline")
    there = {"nearline": level(75, capacity=100)}
    hold = Site(held={"drain": "ann froze all"})
    assert decide(PoolBook(), [entry], level(60 * GIB), there, hold).act is Act.WAIT
    copy = decide(PoolBook(), [entry], level(60 * GIB), there)
    assert (copy.act, copy.room) == (Act.PREMIGRATE, 5)
    assert decide(PoolBook(), [entry], level(60 * GIB), {"nearline": level(80, capacity=100)}).act is Act.REST


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
    decision = decide(PoolBook(), [entry], level(used, capacity=capacity), there, Site(in_flight=in_flight))
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

    def __init__(self, used: int, arriving: int, lag: int, noise: int) -> None:
        self.used, self.arriving, self.lag, self.noise = used, arriving, lag, noise
        self.shown = [used] * (lag + 1)
        self.lowest = used
        self.measured = 0

    def measure(self) -> int:
        """Give the level as it was, and a little beside the truth: now above, now below."""
        self.measured += 1
        return self.shown[0] + (self.measured * 7919 % 101 - 50) * self.noise // 50

    def second(self, freed: int = 0) -> None:
        self.used += self.arriving - freed
        self.lowest = min(self.lowest, self.used)
        self.shown = [*self.shown[1:], self.used]


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(60, 99), arriving=st.integers(0, 2000), lag=st.integers(0, 60),
    file=st.integers(1, 200_000), bad=st.integers(0, 3), noise=st.integers(0, 20_000),
)  # fmt: skip
def test_an_hour_of_a_pool_does_not_oscillate_and_never_falls_a_file_below_lower(
    start: int, arriving: int, lag: int, file: int, bad: int, noise: int
) -> None:
    entry = an_entry("upper: 85%, lower: 70%, sustain: 2m, hold_down: 10m, check_every: 1m")
    pool, book = Pool(start * 100_000, arriving, lag, noise), PoolBook()
    drains, second, runs = [], 0, 0
    while second < 3600:
        measured = level(pool.measure(), at=second, capacity=10_000_000)
        decision = decide(book, [entry], measured, {})
        book, busy = decision.book, 60
        if decision.act is Act.DRAIN:
            adds_up(decision)
            drains.append((second, decision.book.drain.since if decision.book.drain else None))
            runs += 1
            moved = 0 if runs <= bad and runs > 1 else -(-decision.tranche // file) * file  # whole files
            moved = moved or file  # a run that mostly fails still moves something
            busy = 30
            before = measured
            for step in range(busy):
                pool.second(moved if step == busy - 1 else 0)
            second += busy
            now = T0 + timedelta(seconds=second)
            book = after_run(book, entry, a_run(moved), before=before, now=now)
            continue
        for _ in range(busy):
            pool.second()
        second += busy
    # Two measurements, each off by the noise: that of the tranche, and that by which what is done still counts.
    lowest = lower_bytes(entry, level(0, capacity=10_000_000)) - file - 2 * noise
    assert pool.lowest >= min(lowest, start * 100_000)
    sessions = sorted({since for _, since in drains if since is not None})
    for one, two in itertools.pairwise(sessions):
        assert two - one >= timedelta(minutes=10)
