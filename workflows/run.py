"""What a run is asked, where it stands, and how it ended."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from workflows.adapting import Between, SlotsStep
from workflows.breaking import BreakerChange
from workflows.opening import Opening
from workflows.order import JobOrder
from workflows.pace import Note, PaceState
from workflows.payload import Payload
from workflows.plan import OutcomeCounts, Plan
from workflows.policy import Policy
from workflows.retrying import Breaker
from workflows.running import Batch, Rate


class RunState(StrEnum):
    """Where a run is; the last five are final."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Nothing happens in this run any more."""
        return self in _FINAL


_FINAL = (RunState.SUCCEEDED, RunState.FAILED, RunState.REFUSED, RunState.EXPIRED, RunState.CANCELLED)


class Phase(StrEnum):
    """What a run does now."""

    PREFLIGHT = "preflight"
    INVENTORY = "inventory"
    PLAN = "plan"
    APPROVAL = "approval"
    WORK = "work"
    VERIFY = "verify"
    REPORT = "report"
    OVER = "over"


class StageState(StrEnum):
    """How far a stage of a campaign is."""

    AHEAD = "ahead"
    WAITING = "waiting"
    WORKING = "working"
    ENDED = "ended"
    SKIPPED = "skipped"


class StageRecord(Payload):
    """A stage of a campaign: its number from 1, what it is, how far it is, and with how many files it began."""

    number: int
    what: str
    state: StageState
    files: int | None = None

    @property
    def works(self) -> bool:
        """Tell whether it is a hub workflow, not a wait."""
        return not self.what.startswith("wait ")


class Person(Payload):
    """Who steers a run, and why; both go to the audit."""

    actor: str
    reason: str = ""


class SkippingStage(Person):
    """A word that leaves a stage out: the one that waits now or, by its number, a later one."""

    number: int | None = None


def _in_utc(moment: datetime | None) -> datetime | None:
    """Every moment is told in UTC, whatever zone somebody named it in."""
    try:
        return moment if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment} is beyond the calendar") from error


class Pausing(Person):
    """A word that pauses a run, for good or until a moment: a person's own or, with its number, that of a freeze."""

    freeze: int | None = None
    until: Annotated[datetime | None, AfterValidator(_in_utc)] = None


class Resuming(Person):
    """A word that lets a run go on: it lifts what people paused, or what these freezes did, or both."""

    people: bool = True
    freezes: tuple[int, ...] = ()


class RetryingFailed(Person):
    """A word that lets failed files be tried again: those with an error, a reason or a part of a message, or all."""

    error: str = ""


class Retries(Payload):
    """That a run tries again what another one failed; with `error` only what failed with it."""

    run: str
    error: str = ""


class Cancelling(Person):
    """A word that ends a run; with `keep_jobs` those at the Hub go on to their own end."""

    keep_jobs: bool = False


class NewLimits(Person):
    """What a person changes of the bounds of a run that is open; what is None stays as it is.

    `rate` holds the kinds that are limited anew; with `rate_off` those that it does not name are limited no more. With
    `adapts` the concurrency is the run's own to find again.
    """

    concurrency: int | None = Field(None, ge=1, le=1000)
    adapts: bool = False
    rate: Rate | None = None
    rate_off: bool = False
    window: bool | None = None


class Pauser(Payload):
    """Who pauses a run, why, since when and until when; `freeze` is its number when a freeze does it."""

    actor: str
    reason: str = ""
    since: datetime
    freeze: int | None = None
    until: datetime | None = None

    @property
    def name(self) -> str:
        """Say who it is."""
        return self.actor if self.freeze is None else f"{self.actor} (freeze {self.freeze})"


class Decision(Person):
    """What a person says of a plan, which is named by its digest or the first twelve characters or more of it."""

    digest: str
    approved: bool


class ApprovalWanted(Payload):
    """A plan that waits for a person: why, until when, and who may not approve it."""

    digest: str
    files: int
    bytes: int
    why: str
    since: datetime
    expires: datetime
    not_by: str | None = None


class Stop(Payload):
    """Why a run begins nothing more, on whose word, what it ends as, and whether the jobs in flight go on."""

    why: str
    by: str
    state: RunState
    keep_jobs: bool = False


class Steering(Payload):
    """What holds for every segment of a run at this moment; `resumes` counts the words that let the breaker try.

    `unwell` says what the Hub lacks that the run needs, `shut` that the breaker is open and until when. To `renew` is
    to end with what is begun, since the run wants a fresh history.
    """

    slots: int
    paused_by: str | None = None
    stop: Stop | None = None
    opening: Opening = Opening()
    rate: Rate | None = None
    resumes: int = 0
    unwell: str | None = None
    shut: BreakerChange | None = None
    renew: bool = False


class RoundRecord(Payload):
    """One pass over files: the first of a stage over all of its files, each later one over what may be tried again.

    Rounds are numbered through the whole run, whatever their stage. `asked` names who wanted one beside the ladder.
    """

    number: int
    manifest: str
    files: int
    batches: int
    stage: int = 1
    head_sha256: str = ""
    asked: str | None = None


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
    waited_for_approval: timedelta = timedelta(0)
    pausers: tuple[Pauser, ...] = ()
    stage: int = 1
    skipped_stages: tuple[int, ...] = ()
    before: OutcomeCounts = OutcomeCounts()
    pace: PaceState = PaceState()
    breaker: BreakerChange | None = None
    window: bool = True
    asked_slots: int | None = None
    adapted: SlotsStep | None = None
    asked: tuple[RetryingFailed, ...] = ()


class RunRequest(Payload):
    """One execution of a policy: the whole policy as it was when somebody asked, who asked and why.

    Without a name the run has that of its workflow; `version` is the number of the applied version that it runs.
    With `enough_bytes` it takes no more than the shortest beginning of its order that frees so much of a pool (a
    premigration: that would), less where `room_bytes` are too few at the destination, and nothing that the runs of
    `tried_in` tried and did not move. An urgent one minds neither windows nor rates. One
    that `retries` takes only what that run failed.
    """

    run: str
    policy: Policy
    version: int | None = None
    actor: str
    reason: str
    as_of_us: int | None = None
    enough_bytes: int | None = None
    room_bytes: int | None = None
    tried_in: tuple[str, ...] = ()
    urgent: bool = False
    retries: Retries | None = None
    so_far: SoFar | None = None


class Segment(Payload):
    """A stretch of one round's batches, small enough for the history of one workflow.

    When another one follows, the run wants to hear of slots that become free at its end. With `bounds` its concurrency
    adapts, and work is measured in whole batches as `batch` bounds them. It ends early when its history has more events
    than `most_events`; one that was begun without that number goes through to its last batch.
    """

    run: str
    order: JobOrder
    round: int
    manifest: str
    first: int
    count: int
    followed: bool
    steering: Steering
    breaker: Breaker | None = None
    pace: PaceState = PaceState()
    at_close: Literal["finish_batch", "pause_jobs", "cancel_jobs"] = "finish_batch"
    bounds: Between | None = None
    batch: Batch | None = None
    most_events: int | None = None


class Flight(Payload):
    """One batch that is with the Hub now; `job` is missing until the Hub has answered."""

    batch: int
    round: int
    job: int | None = None
    since: datetime


class EndedRun(Payload):
    """That a run ended, and how: what `after:` chains begin with."""

    run: str
    policy: str
    site: str
    state: RunState


class Draining(Payload):
    """A segment has nothing left to begin; so many of its batches are still in flight.

    With the first word it hands over the run's pace and says how many it has `begun`, which may be fewer than it was
    given, with every further one what it learned since.
    """

    segment: str
    in_flight: int
    begun: int | None = None
    pace: PaceState | None = None
    notes: tuple[Note, ...] = ()


class Heard(Payload):
    """What the segment before this one learned after it had handed the pace over."""

    notes: tuple[Note, ...]


class SegmentStatus(Payload):
    """Where a segment stands: batches begun and ended, what is in flight, and what keeps the next one."""

    begun: int = 0
    ended: int = 0
    counts: OutcomeCounts = OutcomeCounts()
    in_flight: tuple[Flight, ...] = ()
    waits_for: str | None = None


class SegmentReport(Payload):
    """What a segment did; files of batches that were not begun are not in the counts.

    It gives back the run's pace, or what it learned since it handed that over.
    """

    begun: int = 0
    jobs: int = 0
    counts: OutcomeCounts = OutcomeCounts()
    stop: Stop | None = None
    pace: PaceState | None = None
    notes: tuple[Note, ...] = ()


class RunStatus(Payload):
    """The answer of a run to the question where it stands; live counts are with the open segments."""

    run: str
    policy: str
    state: RunState
    phase: Phase
    waits_for: str | None = None
    actor: str = ""
    reason: str = ""
    version: int | None = None
    approval: ApprovalWanted | None = None
    paused_by: str | None = None
    pausers: tuple[Pauser, ...] = ()
    plan: Plan | None = None
    inventory_problems: int = 0
    stages: tuple[StageRecord, ...] = ()
    rounds: tuple[RoundRecord, ...] = ()
    counts: OutcomeCounts = OutcomeCounts()
    jobs: int = 0
    open_segments: tuple[str, ...] = ()
    concurrency: int = 0
    bounds: Between | None = None
    adapted: SlotsStep | None = None
    rate: Rate | None = None
    opening: Opening = Opening()
    breaker: BreakerChange | None = None
    started: datetime
    work_started: datetime | None = None
    finished: datetime | None = None
    next_try: datetime | None = None
    trouble: str | None = None


class RunReport(Payload):
    """How a run ended; `outcomes` adds up to the plan's files or the run has failed."""

    run: str
    policy: str
    version: int | None = None
    state: RunState
    plan: Plan | None = None
    inventory_problems: int = 0
    outcomes: OutcomeCounts = OutcomeCounts()
    outcomes_digest: str | None = None
    stages: tuple[StageRecord, ...] = ()
    rounds: tuple[RoundRecord, ...] = ()
    jobs: int = 0
    trouble: str | None = None
    started: datetime
    finished: datetime

    @property
    def took(self) -> timedelta:
        """Wall time from start to end."""
        return self.finished - self.started
