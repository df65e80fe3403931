"""Rates and breaker as rules: never more than allowed, and a sick target costs little."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from workflows.breaking import BreakerChange, BreakerState, BreakerSwitch, Stand, Tried
from workflows.pace import Note, Pace, PaceState, tried_in
from workflows.plan import OutcomeCounts
from workflows.retrying import Breaker, StopAt
from workflows.running import Rate

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KINDS = ("files", "bytes", "jobs")


def after(seconds: float) -> datetime:
    return START + seconds * SECOND


@given(
    rate=st.builds(
        Rate,
        files_per_minute=st.none() | st.integers(1, 10_000),
        bytes_per_minute=st.none() | st.integers(1, 10_000).map("{}B".format),
        jobs_per_minute=st.none() | st.integers(1, 100),
    ),
    batches=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.floats(0, 90)), min_size=1, max_size=40),
    hand_over=st.sets(st.integers(0, 40)),
)
def test_over_any_time_no_more_is_begun_than_the_rate_allows_and_one_batch(
    rate: Rate, batches: list[tuple[int, int, float]], hand_over: set[int]
) -> None:
    pace, now, begun = Pace(None, rate, PaceState()), START, []
    for number, (files, size, idle) in enumerate(batches):
        now += idle * SECOND
        if not pace.lets_begin(now):
            wakes = pace.wakes_at()
            assert wakes is not None and wakes > now
            assert not pace.lets_begin(wakes - SECOND / 1000) or wakes - now < SECOND / 1000
            now = wakes
        assert pace.lets_begin(now)
        pace.begun(now)
        pace.sent(files, size, now)
        begun.append((now, {"files": files, "bytes": size, "jobs": 1}))
        if number in hand_over:  # To the next segment, as Temporal carries it.
            pace = Pace(None, rate, PaceState.model_validate_json(pace.state.model_dump_json()))
    for kind in KINDS:
        limit = getattr(rate, f"{kind}_per_minute")
        if limit is None:
            continue
        for first in range(len(begun)):
            for last in range(first, len(begun)):
                minutes = (begun[last][0] - begun[first][0]) / timedelta(minutes=1)
                total = sum(amounts[kind] for _, amounts in begun[first:last])  # Without one batch: the last.
                assert total <= limit * minutes + limit * 1e-6 * len(batches)


def test_a_batch_that_is_not_sent_yet_holds_the_next_where_its_cost_matters() -> None:
    pace = Pace(None, Rate(files_per_minute=60), PaceState())
    pace.begun(START)
    assert (pace.lets_begin(after(600)), pace.wakes_at()) == (False, None)
    pace.sent(120, 0, after(600))
    assert pace.wakes_at() == after(720)


def test_what_is_owed_is_paid_at_the_new_rate_when_a_person_changes_it() -> None:
    pace = Pace(None, Rate(files_per_minute=60), PaceState())
    pace.begun(START)
    pace.sent(600, 0, START)
    pace.steer(Rate(files_per_minute=600), 0, after(60))
    assert pace.wakes_at() == after(60 + 54)
    pace.steer(None, 0, after(61))
    assert pace.lets_begin(after(61))


def test_what_the_segment_before_sent_at_its_end_is_charged() -> None:
    pace = Pace(None, Rate.model_validate({"bytes_per_minute": "60B"}), PaceState())
    pace.hear((Note(files=1, bytes=30),), 4, START)
    assert pace.wakes_at() == after(30)


def a_breaker(**words: object) -> Breaker:
    return Breaker.model_validate({"stop_at": {"percent": "20%", "consecutive_jobs": 5}, "probe": "15m", **words})


class Campaign:
    """Batches in flight under a breaker, each a minute long, against a target that is sick for a while."""

    def __init__(self, breaker: Breaker, *, slots: int, files: int, sick: tuple[float, float]) -> None:
        self.pace = Pace(breaker, None, PaceState())
        self.slots, self.files, self.sick = slots, files, sick
        self.flights: list[tuple[float, int]] = []
        self.lost: list[float] = []
        self.most: list[tuple[float, int]] = []
        self.changes: list[BreakerChange] = []
        self.minutes = 0

    def run(self, minutes: int) -> None:
        for minute in range(self.minutes, self.minutes + minutes):
            now = after(60 * minute)
            landed, self.flights = self.flights, []
            for begun, era in landed:
                is_sick = self.sick[0] <= begun < self.sick[1]
                tried = Tried(era=era, failed=self.files) if is_sick else Tried(era=era, done=self.files)
                self.lost += [begun] * is_sick
                self.pace.ended(tried, self.slots, now)
            self.pace.tick(now)
            while len(self.flights) < self.slots and self.pace.lets_begin(now):
                self.flights.append((minute, self.pace.begun(now)))
            self.most.append((minute, len(self.flights)))
            self.changes += self.pace.changes()
            self.pace = Pace(
                self.pace.breaker._breaker, None, PaceState.model_validate_json(self.pace.state.model_dump_json())
            )
        self.minutes += minutes


@example(percent=1, after_files=12, jobs=None, slots=1, files=1, healthy=0)
@example(percent=1, after_files=1_409, jobs=None, slots=2, files=8, healthy=0)
@given(
    percent=st.none() | st.integers(1, 100),
    after_files=st.integers(1, 5_000),
    jobs=st.none() | st.integers(1, 50),
    slots=st.integers(1, 32),
    files=st.integers(1, 1_000),
    healthy=st.integers(0, 30),
)
def test_a_target_that_fails_for_an_hour_costs_little_and_is_taken_up_again(
    percent: int | None, after_files: int, jobs: int | None, slots: int, files: int, healthy: int
) -> None:
    if percent is None and jobs is None:
        jobs = 5
    stop_at = StopAt.model_validate({"percent": percent, "after_files": after_files, "consecutive_jobs": jobs})
    campaign = Campaign(
        Breaker(stop_at=stop_at, probe=timedelta(minutes=10)), slots=slots, files=files, sick=(healthy, healthy + 60)
    )
    campaign.run(healthy + 60 + 40)
    opens = [change for change in campaign.changes if change.stand is Stand.OPEN]
    if opens and opens[-1].at > after(60 * (healthy + 60)):
        campaign.run(40)  # Few batches in a long look back: it opens on old news, and needs its time after it.
    to_open = 60 * slots
    if jobs is not None:
        to_open = min(to_open, jobs)
    if percent is not None:
        to_open = min(to_open, -(-after_files // files))
    if opens:
        before = [begun for begun in campaign.lost if after(60 * begun) < opens[0].at]
        assert len(before) <= to_open + slots
        assert len(campaign.lost) - len(before) <= 6  # One batch for each try, ten minutes apart.
        assert campaign.most[-1][1] == slots
        assert campaign.changes[-1].stand is Stand.CLOSED
    else:
        assert to_open + slots > 60 * slots


def test_what_fails_altogether_is_not_diluted_by_what_went_well_before() -> None:
    pace = Pace(a_breaker(stop_at={"percent": "90%", "after_files": 1500}), None, PaceState())
    for _ in range(50):
        pace.ended(Tried(done=1000), 4, START)
    pace.ended(Tried(failed=1000), 4, START)
    assert pace.lets_begin(START)
    pace.ended(Tried(failed=1000), 4, START)
    [change] = pace.changes()
    assert (change.why, change.files, change.failed) == ("the last 2,000 files all failed", 2000, 2000)


def test_the_smallest_rate_for_the_largest_batch_is_a_long_wait_and_no_error() -> None:
    pace = Pace(None, Rate.model_validate({"bytes_per_minute": "1B"}), PaceState())
    pace.begun(START)
    pace.sent(1000, 2**50, START)
    wakes = pace.wakes_at()
    assert wakes is not None and wakes > START + timedelta(days=3000)
    assert not pace.lets_begin(START)
    pace.steer(Rate.model_validate({"bytes_per_minute": "1PiB"}), 0, START)
    assert pace.lets_begin(START + timedelta(minutes=2))


def test_the_first_files_of_a_run_decide_once_they_are_enough() -> None:
    pace = Pace(a_breaker(stop_at={"percent": "20%", "after_files": 100}), None, PaceState())
    for _ in range(9):
        pace.ended(Tried(done=5, failed=5), 4, START)
    assert pace.lets_begin(START)
    pace.ended(Tried(done=5, failed=5), 4, START)
    [change] = pace.changes()
    assert (change.why, change.files, change.failed) == ("50% of the last 100 files failed", 100, 50)
    assert not pace.lets_begin(START)


def test_after_the_probe_the_batches_in_flight_double() -> None:
    campaign = Campaign(a_breaker(), slots=16, files=1_000, sick=(0, 10))
    campaign.run(40)
    by_minute = dict(campaign.most)
    assert [by_minute[minute] for minute in (1, 15, 16, 17, 18, 19, 20, 21)] == [0, 0, 1, 2, 4, 8, 16, 16]


def test_a_person_lets_one_batch_try_and_no_word_is_lost_over_a_hand_over() -> None:
    pace = Pace(a_breaker(probe="none"), None, PaceState())
    pace.begun(START)
    for _ in range(5):
        pace.ended(Tried(failed=10), 4, START)
    assert (pace.lets_begin(after(10**6)), pace.wakes_at()) == (False, None)
    heir = Pace(a_breaker(probe="none"), None, pace.state)
    heir.steer(None, 1, after(9))
    assert heir.lets_begin(after(9))
    heir.begun(after(9))
    assert not heir.lets_begin(after(9))
    heir.steer(None, 1, after(10))
    assert not heir.lets_begin(after(10))


def test_what_was_skipped_or_cancelled_says_nothing_of_the_target() -> None:
    counts = OutcomeCounts(done=3, skipped={"changed": 4}, failed={"timeout": 2}, cancelled=5)
    assert tried_in(counts, Tried(era=7)) == Tried(era=7, done=3, failed=2)
    pace = Pace(a_breaker(), None, PaceState())
    for _ in range(50):
        pace.ended(Tried(), 4, START)
    assert pace.state.breaker.jobs == 0


def test_small_batches_share_a_group_so_that_the_state_stays_small() -> None:
    pace = Pace(a_breaker(stop_at={"percent": "50%", "after_files": 100_000}), None, PaceState())
    for _ in range(30_000):
        pace.ended(Tried(done=10), 4, START)
    assert len(pace.state.breaker.groups) <= 11
    assert len(pace.state.model_dump_json()) < 1_000


def test_a_batch_that_a_window_cut_goes_again_only_as_the_breaker_lets_it() -> None:
    switch = BreakerSwitch(a_breaker(stop_at={"consecutive_jobs": 1}), BreakerState())
    cut = switch.begun()
    assert switch.lets_again(cut)
    switch.ended(Tried(era=switch.begun(), failed=5), 4, START)
    assert not switch.lets_again(cut)
    switch.tick(after(15 * 60))
    assert switch.lets_again(cut)
    assert switch.begun() == cut + 1
    assert not switch.lets_again(cut) and switch.lets_again(cut + 1)


def test_who_only_hears_of_an_open_breaker_waits_for_its_probe() -> None:
    change = BreakerChange(stand=Stand.OPEN, at=START, why="sick", probe_at=after(60))
    assert [change.may_try(after(seconds)) for seconds in (59, 60)] == [False, True]
    assert not change.model_copy(update={"probe_at": None}).may_try(after(10**6))
