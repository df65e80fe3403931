"""What a run is asked, where it stands, and how it ended."""

from datetime import datetime, timedelta
from enum import StrEnum

from workflows.order import JobOrder
from workflows.payload import Payload
from workflows.plan import OutcomeCounts, Plan
from workflows.policy import Policy


class RunState(StrEnum):
    """Where a run is; the last four are final."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Nothing happens in this run any more."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.REFUSED, RunState.CANCELLED)


class Phase(StrEnum):
    """What a run does now."""

    PREFLIGHT = "preflight"
    INVENTORY = "inventory"
    PLAN = "plan"
    WORK = "work"
    REPORT = "report"
    OVER = "over"


class Person(Payload):
    """Who steers a run, and why; both go to the audit."""

    actor: str
    reason: str = ""


class Stop(Payload):
    """Why a run begins nothing more, on whose word, and what it ends as."""

    why: str
    by: str
    state: RunState


class Steering(Payload):
    """What holds for every segment of a run at this moment."""

    slots: int
    paused_by: str | None = None
    stop: Stop | None = None


class RoundRecord(Payload):
    """One pass over files: the first over the whole plan, each later one over what failed and may be tried again."""

    number: int
    manifest: str
    files: int
    batches: int


class SoFar(Payload):
    """What a run hands to itself when it goes on with a fresh history, at the end of a segment."""

    plan: Plan
    inventory_problems: int
    rounds: tuple[RoundRecord, ...]
    next_batch: int
    counts: OutcomeCounts
    jobs: int
    steering: Steering
    started: datetime
    work_started: datetime


class RunRequest(Payload):
    """One execution of a policy: the whole policy as it was when somebody asked, who asked and why."""

    run: str
    policy: Policy
    actor: str
    reason: str
    as_of_us: int | None = None
    so_far: SoFar | None = None


class Segment(Payload):
    """A stretch of one round's batches, small enough for the history of one workflow.

    When another one follows, the run wants to hear of slots that become free at its end.
    """

    run: str
    order: JobOrder
    round: int
    manifest: str
    first: int
    count: int
    followed: bool
    steering: Steering


class Flight(Payload):
    """One batch that is with the Hub now; `job` is missing until the Hub has answered."""

    batch: int
    round: int
    job: int | None = None
    since: datetime


class Draining(Payload):
    """A segment has nothing left to begin; so many of its batches are still in flight."""

    segment: str
    in_flight: int


class SegmentStatus(Payload):
    """Where a segment stands: batches begun and ended, and what is in flight."""

    begun: int = 0
    ended: int = 0
    counts: OutcomeCounts = OutcomeCounts()
    in_flight: tuple[Flight, ...] = ()


class SegmentReport(Payload):
    """What a segment did; files of batches that were not begun are not in the counts."""

    begun: int = 0
    jobs: int = 0
    counts: OutcomeCounts = OutcomeCounts()
    stop: Stop | None = None


class RunStatus(Payload):
    """The answer of a run to the question where it stands; live counts are with the open segments."""

    run: str
    policy: str
    state: RunState
    phase: Phase
    waits_for: str | None = None
    actor: str = ""
    reason: str = ""
    plan: Plan | None = None
    inventory_problems: int = 0
    rounds: tuple[RoundRecord, ...] = ()
    counts: OutcomeCounts = OutcomeCounts()
    jobs: int = 0
    open_segments: tuple[str, ...] = ()
    concurrency: int = 0
    started: datetime
    work_started: datetime | None = None
    finished: datetime | None = None
    next_try: datetime | None = None
    trouble: str | None = None


class RunReport(Payload):
    """How a run ended; `outcomes` adds up to the plan's files or the run has failed."""

    run: str
    policy: str
    state: RunState
    plan: Plan | None = None
    inventory_problems: int = 0
    outcomes: OutcomeCounts = OutcomeCounts()
    outcomes_digest: str | None = None
    rounds: tuple[RoundRecord, ...] = ()
    jobs: int = 0
    trouble: str | None = None
    started: datetime
    finished: datetime

    @property
    def took(self) -> timedelta:
        """Wall time from start to end."""
        return self.finished - self.started
