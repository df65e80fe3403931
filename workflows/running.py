"""The `run` part of a policy: what is asked of the Hub, when, and how fast."""

from collections.abc import Iterator
from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, PlainSerializer, Strict, model_validator

from workflows.concurrency import Concurrency
from workflows.fields import Count, Duration, DurationOrNone, Flag, Line, SomeBytes
from workflows.moments import DAYS, Days, TimeOfDay, Zone
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, duration_text

__all__ = ["Batch", "Rate", "Recheck", "Run", "Stage", "Window", "stage_said"]

Priority = Annotated[
    int, Strict(), Field(ge=1, le=5, description="Which run begins first when a site has too many: 1 first, 5 last.")
]


class Batch(Payload):
    """How much goes to the Hub as one job."""

    files: Annotated[int, Strict(), Field(ge=1, le=10_000, description="At most so many files a job.")] = 1000
    bytes: SomeBytes = Field(2**40, description="At most so many bytes a job; a larger file goes alone.")


class Recheck(Payload):
    """What is compared with the plan just before a batch is sent."""

    compare: tuple[Literal["size", "modified"], ...] = Field(
        ("size", "modified"), min_length=1, description="The attributes that must be as they were planned."
    )
    if_changed: Literal["skip"] = Field("skip", description="What happens to a file that changed: it is skipped.")


RecheckOrNone = Annotated[
    Recheck | None,
    BeforeValidator(lambda value: None if value == "none" else value),
    PlainSerializer(lambda value: "none" if value is None else value.model_dump(mode="json")),
]


class Rate(Payload):
    """How fast a run may go; the strictest of those given holds."""

    files_per_minute: Count | None = Field(None, description="At most so many files a minute.")
    bytes_per_minute: SomeBytes | None = Field(None, description="At most so many bytes a minute.")
    jobs_per_minute: Count | None = Field(None, description="At most so many jobs a minute.")


class Window(Payload):
    """A time of the week in which batches may be sent; one that ends before it begins ends the next day."""

    days: Days = Field(DAYS, description="The days on which it begins, such as mon-fri.")
    start: TimeOfDay = Field(alias="from", description="When it begins, such as 19:00.")
    end: TimeOfDay = Field(alias="to", description="When it ends, such as 07:00; 00:00 is the end of the day.")
    timezone: Zone = Field("UTC", description="The IANA zone of its times.")

    @model_validator(mode="after")
    def _has_length(self) -> "Window":
        if self.start == self.end and self.start != time(0):
            raise Mistakes([Mistake(("to",), "the window ends when it begins: for the whole day write 00:00 to 00:00")])
        return self


class Stage(Payload):
    """One step of a campaign over the same plan: a hub workflow, or a wait; each file goes on when it succeeded."""

    workflow: Line | None = Field(None, description="The hub workflow of this stage.")
    fields: dict[Line, JsonValue] = Field(default_factory=dict, description="The hub workflow's own fields.")
    queue: Line | None = Field(None, description="The Hub's queue; default: the run's.")
    concurrency: Concurrency | None = Field(None, description="Jobs in flight at a time; default: the run's.")
    approval: Literal["always", "when_destructive", "never"] | None = Field(
        None, description="Whether this stage waits for an approval of its own; default: the policy's rule."
    )
    wait: Duration | None = Field(
        None, description="Instead of a hub workflow: how long to wait before the next stage."
    )
    unless_changed: Flag = Field(False, description="With `wait`: a file that changes meanwhile is skipped.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Stage":
        if (self.workflow is None) == (self.wait is None):
            raise ValueError("expects one of `workflow` and `wait`, such as {workflow: premigrate} or {wait: 7d}")
        odd = ("unless_changed",) if self.workflow is not None else ("fields", "queue", "concurrency", "approval")
        kind = "wait" if self.workflow is not None else "workflow"
        found = [
            Mistake((key,), f"`{key}` belongs to a stage with `{kind}`: leave it out here", at_key=True)
            for key in odd
            if getattr(self, key)
        ]
        if found:
            raise Mistakes(found)
        return self


def stage_said(stage: Stage) -> str:
    """Say what a stage is, in a word or two."""
    return f"wait {duration_text(stage.wait)}" if stage.wait is not None else stage.workflow or ""


class Run(Payload):
    """What is asked of the Hub, and how fast."""

    workflow: Line | None = Field(
        None, description="The hub workflow, such as migrate, premigrate or recall; or else `stages`."
    )
    stages: tuple[Stage, ...] = Field((), max_length=20, description="A campaign instead: stages over the same plan.")
    fields: dict[Line, JsonValue] = Field(default_factory=dict, description="The hub workflow's own fields.")
    queue: Line = Field("default", description="The Hub's queue.")
    target: Line | None = Field(
        None,
        description="Where the files go, by a name of your own: `limits set --target` bounds all runs that say it.",
    )
    batch: Batch = Field(Batch(), description="How much goes to the Hub as one job.")
    concurrency: Concurrency = Field(
        4, description="Jobs in flight at a time; or {min, max}: as many as bring more throughput."
    )
    priority: Priority = 3
    rate: Rate | None = Field(None, description="How fast the run may go.")
    windows: tuple[Window, ...] = Field((), max_length=100, description="When batches may be sent; none means always.")
    outside_windows: Literal["finish_batch", "pause_jobs", "cancel_jobs"] = Field(
        "finish_batch", description="Jobs in flight when a window closes: let them finish, pause them, cancel them."
    )
    deadline: Duration | None = Field(None, description="The longest that the whole run may take.")
    job_timeout: Duration = Field(timedelta(hours=6), description="The longest that one job may take.")
    stall_after: DurationOrNone = Field(
        timedelta(minutes=30), description="A job without any progress for so long is cancelled; none never does."
    )
    recheck: RecheckOrNone = Field(
        Recheck(), description="What is compared with the plan just before a batch is sent; none skips it."
    )
    verify: Literal["none", "status", "after_last_stage"] = Field(
        "none",
        description="Trust a job's answer (none), or ask the Hub where each file is, after its job and when the run "
        "ends (status); after_last_stage asks once, at the end of a campaign.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Run":
        found = list(self._mistakes())
        if found:
            raise Mistakes(found)
        return self

    @property
    def steps(self) -> tuple[Stage, ...]:
        """The stages, or the one that a run without stages is."""
        return self.stages or (Stage(workflow=self.workflow, fields=self.fields),)

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """Every hub workflow that is run with its queue, each pair once."""
        return tuple(dict.fromkeys((step.workflow, step.queue or self.queue) for step in self.steps if step.workflow))

    @property
    def hub_workflow(self) -> str:
        """The hub workflow that is run, the first one of a campaign."""
        return self.workflow or next(stage.workflow for stage in self.stages if stage.workflow is not None)

    @property
    def hub_workflows(self) -> tuple[str, ...]:
        """Every hub workflow that is run, in order."""
        return (self.workflow,) if self.workflow is not None else tuple(s.workflow for s in self.stages if s.workflow)

    def _mistakes(self) -> Iterator[Mistake]:
        if self.workflow is None and not self.stages:
            yield Mistake(
                (),
                "`workflow` is missing: the hub workflow, such as migrate, premigrate or recall; or else `stages`",
            )
        if self.workflow is not None and self.stages:
            yield Mistake(("stages",), "`workflow` and `stages` cannot be together: keep one", at_key=True)
        for index, stage in enumerate(self.stages):
            if stage.wait is None:
                continue
            if index in (0, len(self.stages) - 1):
                yield Mistake(("stages", index), "a campaign begins and ends with a hub workflow: leave this wait out")
            elif self.stages[index - 1].wait is not None:
                yield Mistake(("stages", index), "two waits follow each other: write one")
        if self.fields and self.stages:
            yield Mistake(("fields",), "with `stages` the fields belong to a stage: move them there", at_key=True)
        waits = sum((stage.wait for stage in self.stages if stage.wait is not None), timedelta(0))
        if self.deadline is not None and waits >= self.deadline:
            yield Mistake(("deadline",), f"the stages wait for {duration_text(waits)} alone: allow more")
        if self.verify == "after_last_stage" and not self.stages:
            yield Mistake(("verify",), "`after_last_stage` needs `stages`: write status")
        if self.outside_windows != "finish_batch" and not self.windows:
            yield Mistake(("outside_windows",), "there are no `windows` that could close: leave it out", at_key=True)
