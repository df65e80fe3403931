"""Three simulated months of a nightly schedule, a threshold and a chain end with the runs that one would expect.

Time is injected, minute by minute. The rules are the product's own: fire times, turns of the desk, the pool's
control, routes of events. Simulated is what Temporal and the Hub do: firing at those times, running for so many
minutes, failing every tenth night, filling the pool in working hours and freeing what a drain plans.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from activities.fire_times import fire_times
from orchestrator.catalog import load_policy
from tests.pool_entries import a_drain, an_entry
from workflows.events import RUN_ENDED, CloudEvent
from workflows.policy import Policy
from workflows.pool_control import Act, RunOfDrain, after_run, decide
from workflows.pools import Level, PoolBook
from workflows.routes import routes_of, wants
from workflows.run import RunRequest
from workflows.starts import Cause, OpenRun, Overlap, wish_for
from workflows.turns import turn_of

LONDON = ZoneInfo("Europe/London")
BEGIN, END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
GIB = 1 << 30
CAPACITY = 1000 * GIB
NIGHTLY = """
version: 1
name: nightly
site: london
triggers:
  - schedule: {cron: "30 22 * * 1-5", timezone: Europe/London, skip_dates: [2026-10-30]}
  - schedule: {cron: "0 23 * * 5", timezone: Europe/London}
select: {from: {space: projects}}
run: {workflow: premigrate}
"""
CHAINED = """
version: 1
name: chained
site: london
triggers: [after: {policy: nightly}]
select: {from: {space: projects}}
run: {workflow: migrate}
"""
LASTS = {"nightly": 45, "chained": 10, "drain": 5}


class Months:
    """The simulated installation: what runs, what began, how full the pool is."""

    def __init__(self) -> None:
        self.nightly, self.chained = load_policy(NIGHTLY.encode()), load_policy(CHAINED.encode())
        marks = "upper: 85%, lower: 70%, sustain: 5m, hold_down: 30m, check_every: 1m"
        self.policy, self.entry = a_drain(marks), an_entry(marks)
        self.used = 700 * GIB
        self.book = PoolBook()
        self.open: dict[OpenRun, datetime] = {}
        self.draining: tuple[int, Level] | None = None
        self.begun: list[tuple[str, datetime]] = []
        self.skipped: list[tuple[str, datetime]] = []
        self.highest = self.lowest = self.used

    def run(self) -> None:
        """Let every minute of the three months pass."""
        fires = {
            fire.at
            for trigger in self.nightly.triggers
            if trigger.schedule is not None
            for fire in fire_times(trigger.schedule, BEGIN - MINUTE, END)
        }
        now = BEGIN
        while now < END:
            self.end_runs(now)
            if now in fires:
                self.want(self.nightly, "skip", now)
            self.fill(now)
            if self.draining is None:
                self.look_at_the_pool(now)
            now += MINUTE

    def want(self, policy: Policy, overlap: Overlap, now: datetime) -> bool:
        """Tell the desk; it begins the run, or skips it."""
        request = RunRequest(run="", policy=policy, actor="test", reason="test")
        wish = wish_for(key=f"{now}", request=request, cause=Cause(kind="schedule", text=""), overlap=overlap)
        turn = turn_of(wish, tuple(self.open), [])
        if turn.verdict != "begin":
            self.skipped.append((policy.name, now))
            return False
        run = OpenRun(run=f"{policy.name}-{now:%Y%m%dT%H%M}", policy=policy.name, since=now)
        self.open[run] = now + LASTS[policy.name] * MINUTE
        self.begun.append((policy.name, now))
        return True

    def end_runs(self, now: datetime) -> None:
        """End what has lasted long enough; a success starts the chain, a drain frees what it planned."""
        for run in [run for run, until in self.open.items() if until <= now]:
            del self.open[run]
            if run.policy == "drain":
                self.end_drain(now)
                continue
            nights = sum(name == "nightly" for name, _ in self.begun)
            state = "failed" if run.policy == "nightly" and nights % 10 == 0 else "succeeded"
            data = {"policy": run.policy, "state": state, "site": "london"}
            event = CloudEvent(id=run.run, source="orchestrator", type=RUN_ENDED, data=data)
            if any(wants(route, event) for route in routes_of(self.chained)):
                self.want(self.chained, "queue_one", now)

    def fill(self, now: datetime) -> None:
        """Let files arrive in the working hours of London: 5 % of the pool a day."""
        local = now.astimezone(LONDON)
        if local.weekday() < 5 and 8 <= local.hour < 18:
            self.used += CAPACITY // 20 // 600
        self.highest = max(self.highest, self.used)

    def look_at_the_pool(self, now: datetime) -> None:
        """Decide as the watcher does."""
        level = Level(at=now, used=self.used, capacity=CAPACITY)
        decision = decide(self.book, [self.entry], level, {})
        self.book = decision.book
        if decision.act is Act.DRAIN and self.want(self.policy, "queue_one", now):
            files = -(-decision.tranche // GIB)  # whole files, just enough
            self.draining = (files * GIB, level)

    def end_drain(self, now: datetime) -> None:
        """Free what the drain had planned."""
        assert self.draining is not None
        freed, before = self.draining
        self.draining = None
        self.used -= freed
        self.lowest = min(self.lowest, self.used)
        ended = RunOfDrain(run="drain", done=freed, tried=0)
        self.book = after_run(self.book, self.entry, ended, before=before, now=now)


def test_three_months_end_with_the_expected_runs() -> None:
    months = Months()
    months.run()
    days = [date(2026, 9, 1) + timedelta(days=number) for number in range(91)]
    workdays = [day for day in days if day.weekday() < 5]
    fridays = [day for day in workdays if day.weekday() == 4]

    skipped_day = date(2026, 10, 30)
    expected = [at(day, 22, 30) for day in workdays if day != skipped_day]
    # On fridays the second trigger comes while the first one's run is open; on the skipped day it finds none.
    late = [at(day, 23, 0) for day in fridays]
    assert [when for name, when in months.begun if name == "nightly"] == sorted([*expected, at(skipped_day, 23, 0)])
    assert [when for name, when in months.skipped if name == "nightly"] == [
        one for one in late if one.date() != skipped_day
    ]
    assert at(date(2026, 10, 23), 22, 30).hour == 21 and at(date(2026, 10, 26), 22, 30).hour == 22, "clocks changed"

    nights = sorted([*expected, at(skipped_day, 23, 0)])
    successes = [night for number, night in enumerate(nights, 1) if number % 10]
    chained = [when for name, when in months.begun if name == "chained"]
    assert chained == [night + 45 * MINUTE for night in successes]

    drains = [when for name, when in months.begun if name == "drain"]
    # 5 % arrive on each of 65 days and a drain takes 15 %: one on every third working day, in working hours.
    assert len(drains) == len(workdays) // 3
    assert all(8 <= when.astimezone(LONDON).hour <= 18 for when in drains)
    assert months.highest < 0.86 * CAPACITY
    assert months.lowest > 0.70 * CAPACITY - 2 * GIB


def at(day: date, hour: int, minute: int) -> datetime:
    """A local time of London in UTC, by the zone's own rules."""
    return datetime.combine(day, time(hour, minute), LONDON).astimezone(UTC)
