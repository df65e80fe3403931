"""The rule of a concurrency that finds its own number: more jobs while throughput grows, fewer on errors or slow jobs.

Jobs are counted in trials of one number of slots. By Little's law the throughput of a trial is the mean number of jobs
in flight, times their work, through the time that they were with the Hub; so pauses and windows do not look like a slow
Hub, and slots that a rate or a limit leaves empty bring nothing. Work is counted in whole batches of the policy, by
files or by bytes, whichever fills a batch more.

A step up is kept when throughput grew by half of the share by which the slots did; else it is taken back, and tried
again after `REST` trials. Steps double until the first one that is taken back.
"""

from datetime import datetime

from workflows.payload import Payload

FEWEST_JOBS = 4
"""A trial counts as many jobs as it has slots, and never fewer than these: a single job says little."""
BAD_SHARE = 0.1
"""With so many of the files of a trial failed there are too many jobs."""
SLOWER = 1.6
"""Jobs that take so many times as long as when this number of slots was found good have too many beside them."""
REST = 8
"""So many trials pass before more slots are tried again."""
STEP = 8
"""Behind the first step that was taken back, one of so many slots more."""


class Between(Payload):
    """The bounds of a concurrency that adapts."""

    least: int
    most: int


class Job(Payload):
    """How one job ended: the trial that it was begun in, its work in batches, seconds at the Hub, its files.

    `beside` is how many jobs were in flight when it ended, with itself.
    """

    trial: int = 0
    beside: int = 1
    work: float = 0.0
    seconds: float = 0.0
    files: int = 0
    failed: int = 0


class Trial(Payload):
    """What the jobs of a trial came to."""

    jobs: int = 0
    beside: int = 0
    work: float = 0.0
    seconds: float = 0.0
    files: int = 0
    failed: int = 0

    @property
    def throughput(self) -> float:
        """Batches of work a second."""
        return self.beside / self.jobs * self.work / self.seconds

    def plus(self, job: Job) -> "Trial":
        """Add a job."""
        return Trial(
            jobs=self.jobs + 1,
            beside=self.beside + job.beside,
            work=self.work + job.work,
            seconds=self.seconds + job.seconds,
            files=self.files + job.files,
            failed=self.failed + job.failed,
        )


class Adapted(Payload):
    """All that the rule remembers; handed from segment to segment. No slots: it has not begun.

    `number` counts the trials; `before` and `throughput` are the slots that were good before the last step up, and what
    they brought, absent when the last step was another; `pace` is the seconds that a batch of work took when these
    slots were found good; `rests` counts the trials since a step was taken back.
    """

    slots: int = 0
    number: int = 0
    trial: Trial = Trial()
    before: int | None = None
    throughput: float = 0.0
    pace: float | None = None
    doubles: bool = True
    rests: int = 0


class SlotsStep(Payload):
    """That the concurrency was changed by the rule: when, from what, to what, and why."""

    at: datetime
    before: int
    slots: int
    why: str


class Adapting:
    """Holds the rule's state and the steps that nobody has been told of yet."""

    def __init__(self, bounds: Between | None, state: Adapted) -> None:
        self.state = state
        self.steps: list[SlotsStep] = []
        self._bounds = bounds
        if bounds is not None and not state.slots:
            self.state = Adapted(slots=bounds.least)

    def __bool__(self) -> bool:
        return self._bounds is not None

    def ended(self, job: Job, now: datetime) -> None:
        """Take how a job ended; one that was begun in an earlier trial, or did nothing, says nothing of this one."""
        if self._bounds is None or job.trial != self.state.number or not job.files or job.seconds <= 0:
            return
        trial = self.state.trial.plus(job)
        self._set(trial=trial)
        if trial.jobs >= max(FEWEST_JOBS, self.state.slots):
            self._judge(trial, self._bounds, now)

    def _judge(self, trial: Trial, bounds: Between, now: datetime) -> None:
        state = self.state
        if trial.failed >= BAD_SHARE * trial.files:
            share = f"{trial.failed * 100 / trial.files:.0f}% of {trial.files:,} files failed"
            self._back_off(max(bounds.least, state.slots // 2), share, now)
            return
        if state.before is not None:
            self._judge_step_up(state.before, trial, bounds, now)
        elif state.pace is None:
            self._found_good(trial)
            if state.doubles:
                self._raise(trial, "more may be done at a time", bounds, now)
            else:
                self._next_trial(rests=1)
        elif trial.seconds > SLOWER * state.pace * trial.work:
            slower = f"jobs take {trial.seconds / trial.work / state.pace:.1f} times as long as before"
            self._back_off(max(bounds.least, state.slots * 3 // 4), slower, now)
        elif state.rests + 1 < REST:
            self._next_trial(rests=state.rests + 1)
        else:
            self._found_good(trial)
            self._raise(trial, "it is tried again whether more brings more", bounds, now)

    def _judge_step_up(self, before: int, trial: Trial, bounds: Between, now: datetime) -> None:
        state = self.state
        grew, more = trial.throughput / state.throughput - 1, state.slots / before - 1
        if grew >= more / 2:
            self._found_good(trial)
            self._raise(trial, f"throughput grew by {grew * 100:.0f}% with {state.slots} jobs", bounds, now)
            return
        change = f"grew by only {grew * 100:.0f}%" if grew >= 0 else f"fell by {-grew * 100:.0f}%"
        self._step(before, f"throughput {change} with {state.slots} jobs", now)
        self._set(doubles=False, rests=0, before=None)

    def _raise(self, trial: Trial, why: str, bounds: Between, now: datetime) -> None:
        slots = self.state.slots
        wanted = min(bounds.most, slots * 2 if self.state.doubles else slots + max(1, slots // STEP))
        if wanted == slots:
            self._next_trial(before=None, rests=0)
            return
        self._step(wanted, why, now)
        self._set(before=slots, throughput=trial.throughput, rests=0)

    def _back_off(self, slots: int, why: str, now: datetime) -> None:
        if slots < self.state.slots:
            self._step(slots, why, now)
            self._set(pace=None)
        else:
            self._next_trial()
        self._set(before=None, doubles=False, rests=0)

    def _found_good(self, trial: Trial) -> None:
        self._set(pace=trial.seconds / trial.work if trial.work else None)

    def _step(self, slots: int, why: str, now: datetime) -> None:
        self.steps.append(SlotsStep(at=now, before=self.state.slots, slots=slots, why=why))
        self._set(slots=slots)
        self._next_trial()

    def _next_trial(self, **changes: object) -> None:
        self._set(number=self.state.number + 1, trial=Trial(), **changes)

    def _set(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)
