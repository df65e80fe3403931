"""A concurrency that finds its own number, against simulated Hubs whose throughput ends at so many jobs."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from workflows.adapting import REST, Adapted, Adapting, Between, Job, SlotsStep

START = datetime(2026, 11, 23, tzinfo=UTC)


class Hub:
    """Works on up to `servers` jobs at full speed and shares itself among more; `failing` tells how many files fail."""

    def __init__(self, servers: int, *, noise: float = 0.0, seed: int = 1) -> None:
        self.servers = servers
        self.failing = 0
        self.most: int | None = None
        self.now = 0.0
        self.done = 0
        self.steps: list[SlotsStep] = []
        self._noise = noise
        self._random = Random(seed)
        self._flights: list[tuple[float, float, int]] = []  # work left, when it began, trial

    def run(self, adapting: Adapting, jobs: int) -> Adapting:
        """Do so many more jobs, always as many at a time as the rule says."""
        for _ in range(jobs):
            room = adapting.state.slots if self.most is None else min(self.most, adapting.state.slots)
            while len(self._flights) < room:
                work = 60 * (1 + self._noise * (self._random.random() - 0.5))
                self._flights.append((work, self.now, adapting.state.number))
            speed = min(1.0, self.servers / len(self._flights))
            least = min(self._flights)
            passed = least[0] / speed
            self.now += passed
            beside = len(self._flights)
            self._flights.remove(least)
            self._flights = [(work - least[0], began, trial) for work, began, trial in self._flights]
            job = Job(
                trial=least[2], beside=beside, work=1, seconds=self.now - least[1], files=1000, failed=self.failing
            )
            adapting.ended(job, START + timedelta(seconds=self.now))
            self.done += 1
            self.steps += adapting.steps
            adapting = Adapting(adapting._bounds, Adapted.model_validate_json(adapting.state.model_dump_json()))
        return adapting


@given(servers=st.integers(1, 100), most=st.integers(1, 64), noise=st.sampled_from([0.0, 0.1, 0.3]), seed=st.integers())
def test_it_comes_near_what_the_hub_can_do_and_stays_there(servers: int, most: int, noise: float, seed: int) -> None:
    hub = Hub(servers, noise=noise, seed=seed)
    adapting = hub.run(Adapting(Between(least=1, most=most), Adapted()), 1500)
    best = min(servers, most)
    began, done = hub.now, hub.done
    slots = []
    for _ in range(300):
        adapting = hub.run(adapting, 1)
        slots.append(adapting.state.slots)
    throughput = (hub.done - done) / (hub.now - began) * 60
    assert throughput >= 0.6 * best
    assert max(slots) <= min(most, 2.2 * best + 2)


def test_it_doubles_first_and_tells_why_it_stops() -> None:
    hub = Hub(16)
    hub.run(Adapting(Between(least=2, most=64), Adapted()), 120)
    assert [(step.before, step.slots) for step in hub.steps] == [(2, 4), (4, 8), (8, 16), (16, 32), (32, 16)]
    assert hub.steps[1].why == "throughput grew by 100% with 4 jobs"
    assert hub.steps[-1].why == "throughput grew by only 0% with 32 jobs"


def test_it_halves_when_files_fail_and_rests_before_it_tries_more() -> None:
    hub = Hub(16)
    adapting = hub.run(Adapting(Between(least=2, most=64), Adapted()), 130)
    hub.failing = 120
    steps = len(hub.steps)
    while len(hub.steps) == steps:
        adapting = hub.run(adapting, 1)
    hub.failing = 0
    assert (hub.steps[-1].before, hub.steps[-1].slots) == (16, 8)
    assert hub.steps[-1].why.endswith("files failed")
    hub.run(adapting, 8 * (REST - 1))
    assert len(hub.steps) == steps + 1


def test_it_takes_fewer_when_jobs_become_slow_beside_others_and_comes_back() -> None:
    hub = Hub(16)
    adapting = hub.run(Adapting(Between(least=2, most=64), Adapted()), 200)
    hub.servers = 6
    steps = len(hub.steps)
    adapting = hub.run(adapting, 120)
    assert hub.steps[steps].slots < 16
    assert "times as long as before" in hub.steps[steps].why
    hub.servers = 16
    adapting = hub.run(adapting, 3000)
    assert adapting.state.slots >= 12


def test_slots_that_a_limit_leaves_empty_are_given_back() -> None:
    hub = Hub(64)
    hub.most = 4
    adapting = hub.run(Adapting(Between(least=2, most=64), Adapted()), 600)
    assert adapting.state.slots <= 5


def test_it_keeps_to_its_bounds_whatever_happens() -> None:
    hub = Hub(1)
    hub.failing = 900
    adapting = hub.run(Adapting(Between(least=3, most=5), Adapted()), 100)
    assert (adapting.state.slots, hub.steps) == (3, [])


def test_without_bounds_there_is_no_rule() -> None:
    adapting = Adapting(None, Adapted())
    adapting.ended(Job(work=1, seconds=1, files=1), START)
    assert not adapting and adapting.state == Adapted()
