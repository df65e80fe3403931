"""Where a campaign stands among its stages, counted from 1; a policy without stages is a campaign of one."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from workflows.approving import is_destructive
from workflows.concurrency import Adaptive
from workflows.order import JobOrder, order_of
from workflows.plan import OutcomeCounts
from workflows.policy import Policy
from workflows.run import RoundRecord, StageRecord, StageState
from workflows.running import Stage, stage_said


class Stages:
    """The stage that is on, which ones are over or left out, and until when a wait lasts."""

    def __init__(self, policy: Policy, number: int = 1, skipped: Iterable[int] = ()) -> None:
        self._policy = policy
        self._steps = policy.run.steps
        self.number = number
        self.working = False
        self.until: datetime | None = None
        self._skipped = set(skipped)

    @property
    def is_campaign(self) -> bool:
        """Whether the policy has stages; one without them is told of as before there were any."""
        return bool(self._policy.run.stages)

    @property
    def over(self) -> bool:
        """Whether no stage is left."""
        return self.number > len(self._steps)

    @property
    def current(self) -> Stage:
        """The stage that is on."""
        return self._steps[self.number - 1]

    @property
    def name(self) -> str:
        """Say which stage is on, such as `stage 3 (migrate)`."""
        return f"stage {self.number} ({stage_said(self.current)})"

    @property
    def skipped(self) -> tuple[int, ...]:
        """The stages that are left out."""
        return tuple(sorted(self._skipped))

    @property
    def leaves_out(self) -> bool:
        """Whether the stage that is on is left out."""
        return self.number in self._skipped

    @property
    def order(self) -> JobOrder:
        """What the stage asks of the Hub with each job."""
        return order_of(self._policy, self.number)

    @property
    def concurrency(self) -> int | Adaptive:
        """Jobs in flight at a time, or the bounds of them."""
        return self.current.concurrency or self._policy.run.concurrency

    @property
    def waits_for(self) -> str | None:
        """Say what the campaign waits for between two stages, as the end of the sentence "it waits for"."""
        return None if self.until is None else f"the end of {self.name} at {self.until:%Y-%m-%d %H:%M:%S} UTC"

    def next(self) -> None:
        """Go on to the stage behind this one."""
        self.number += 1
        self.working = False
        self.until = None

    def skip(self, number: int | None) -> int:
        """Leave a stage out, the one that is on unless another is named; say which."""
        self._skipped.add(number or self.number)
        return number or self.number

    def objection(self, number: int | None) -> str | None:
        """Say why a stage cannot be left out; None when it can."""
        last = len(self._steps)
        wanted = self.number if number is None else number
        if not self.is_campaign:
            return "its policy has no stages"
        if not 1 <= wanted <= last:
            return f"it has no stage {wanted}, but {last} of them"
        if wanted < self.number or (wanted == self.number and self.until is None and self.working):
            done = "is over" if wanted < self.number else "is at work"
            later = f": name a later one, up to {last}, or cancel the run" if self.number < last else ""
            return f"stage {wanted} ({stage_said(self._steps[wanted - 1])}) {done}{later}"
        if wanted in self._skipped:
            return f"stage {wanted} is left out already"
        if all(step.workflow is None or at in {*self._skipped, wanted} for at, step in enumerate(self._steps, 1)):
            return "no stage would be left: cancel the run"
        return None

    def passed(self, rounds: Sequence[RoundRecord]) -> tuple[int, ...]:
        """Number the rounds in which a success is no end, since a stage behind theirs is not left out."""
        work = [number for number, step in enumerate(self._steps, 1) if step.workflow and number not in self._skipped]
        last = max([*work, *(record.stage for record in rounds)], default=1)
        return tuple(record.number for record in rounds if record.stage < last)

    def records(self, rounds: Sequence[RoundRecord]) -> tuple[StageRecord, ...]:
        """Tell of every stage of a campaign how far it is."""
        if not self.is_campaign:
            return ()
        return tuple(
            StageRecord(number=number, what=stage_said(step), state=self._state(number), files=_files(rounds, number))
            for number, step in enumerate(self._steps, 1)
        )

    def _state(self, number: int) -> StageState:
        if number in self._skipped:
            return StageState.SKIPPED
        if number == self.number:
            return StageState.WORKING if self.working and self.until is None else StageState.WAITING
        return StageState.ENDED if number < self.number else StageState.AHEAD


def rounds_of(rounds: Sequence[RoundRecord], stage: int) -> list[RoundRecord]:
    """Give the rounds of one stage."""
    return [record for record in rounds if record.stage == stage]


def stage_approval(stages: Stages) -> str | None:
    """Say why the stage that is on waits for a person; one that says nothing is covered by the word on the plan."""
    stage = stages.current
    if stage.approval == "always":
        return f"run.stages: approval of {stages.name} is always"
    if stage.approval == "when_destructive" and is_destructive(stage.workflow or ""):
        return f"the hub workflow {stage.workflow} deletes data"
    return None


def ended_in(counts: OutcomeCounts) -> OutcomeCounts:
    """Give the part of a stage's counts that is final: files that succeeded go on to the next stage."""
    skipped = {reason: files for reason, files in counts.skipped.items() if reason != "already_done"}
    return counts.model_copy(update={"done": 0, "bytes_done": 0, "skipped": skipped})


def went_on(counts: OutcomeCounts) -> int:
    """Count the files of a stage that go on to the next."""
    return counts.done + counts.skipped.get("already_done", 0)


def _files(rounds: Sequence[RoundRecord], stage: int) -> int | None:
    first = rounds_of(rounds, stage)[:1]
    return first[0].files if first else None
