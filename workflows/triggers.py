"""Triggers: why a run of a policy starts by itself."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from workflows import units
from workflows.fields import Duration, Line, Name, Percent, Wait
from workflows.moments import CronText, Day, Zone
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, shown

__all__ = ["After", "Dst", "Event", "Schedule", "Threshold", "Trigger"]

KINDS = ("schedule", "threshold", "event", "after")


class Dst(Payload):
    """What a schedule with one fixed time of the day does when the clocks change; the defaults are RFC 5545's."""

    gap: Literal["shift", "skip"] = Field(
        "shift", description="A local time that does not exist: shift it by the gap's length, or skip the day."
    )
    overlap: Literal["first", "second", "both"] = Field(
        "first", description="A local time that comes twice: fire at the first, at the second, or at both."
    )


class Schedule(Payload):
    """Fires at local times of a zone."""

    cron: CronText = Field(description="Five fields (minute hour day month weekday), or @daily and its like.")
    timezone: Zone = Field("UTC", description="The IANA zone of the schedule's local times.")
    jitter: Wait = Field(timedelta(0), description="Each start is delayed by a random part of this.")
    catch_up: Duration = Field(
        timedelta(hours=1), description="A start missed for longer than this is recorded as missed, not run."
    )
    overlap: Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"] = Field(
        "skip", description="What a start does while an earlier run of the policy is open."
    )
    skip_dates: tuple[Day, ...] = Field((), max_length=1000, description="Days of the zone on which nothing starts.")
    dst: Dst = Field(Dst(), description="What happens when the clocks change.")
    start: Day | None = Field(None, description="No start before this day.")
    end: Day | None = Field(None, description="No start on or after this day.")

    @model_validator(mode="after")
    def _in_order(self) -> "Schedule":
        if self.start and self.end and self.end <= self.start:
            text = f"`end` is not after `start` ({self.start}): write a later day, or leave it out"
            raise Mistakes([Mistake(("end",), text)])
        return self


class Threshold(Payload):
    """Drains a pool that is too full: measured again and again, stopped at the lower mark."""

    pool: Line = Field(description="The storage pool, by its name.")
    filesystem: Line | None = Field(None, description="The pool's file system, where the name alone is not unique.")
    upper: Percent = Field(description="At or above this level, for `sustain`, a drain starts.")
    lower: Percent = Field(description="A drain stops at or below this level.")
    premigrate: Percent | None = Field(
        None, description="Between `lower` and this level files are copied and kept, so that the next drain is instant."
    )
    critical: Percent | None = Field(None, description="At or above this level: alert, ignore windows and rates.")
    check_every: Duration = Field(timedelta(minutes=1), description="How often the pool is measured.")
    sustain: Wait = Field(timedelta(0), description="How long the pool must stay at or above `upper`.")
    hold_down: Wait = Field(timedelta(0), description="After a drain, how long before another may start.")
    give_up_after: Duration = Field(
        timedelta(hours=2), description="A drain without progress for so long ends, alerting."
    )
    max_utilisation: Percent | None = Field(None, description="`destination_pool` is never filled beyond this level.")
    destination_pool: Line | None = Field(None, description="The pool that the files go to, where the target is one.")

    @model_validator(mode="after")
    def _in_order(self) -> "Threshold":
        found = list(self._mistakes())
        if found:
            raise Mistakes(found)
        return self

    def _mistakes(self) -> Iterator[Mistake]:
        def said(percent: float) -> str:
            return units.percent_text(percent)

        if self.lower >= self.upper:
            yield Mistake(("lower",), f"`lower` must be below `upper` ({said(self.upper)}), found {said(self.lower)}")
        if self.premigrate is not None and self.premigrate >= self.lower:
            yield Mistake(
                ("premigrate",),
                f"`premigrate` must be below `lower` ({said(self.lower)}), found {said(self.premigrate)}",
            )
        if self.critical is not None and self.critical <= self.upper:
            yield Mistake(
                ("critical",), f"`critical` must be above `upper` ({said(self.upper)}), found {said(self.critical)}"
            )
        if self.max_utilisation is not None and self.destination_pool is None:
            yield Mistake(
                ("max_utilisation",), "`max_utilisation` needs the pool that it bounds: add `destination_pool`", True
            )
        if self.destination_pool == self.pool:
            yield Mistake(("destination_pool",), "`destination_pool` is the pool that is drained: name another")


def _wanted(value: object) -> dict[str, tuple[Any, ...]]:
    if not isinstance(value, dict):
        raise ValueError(f"expects fields and their values such as {{name: lowDiskSpace}}, found {shown(value)}")
    found: dict[str, tuple[Any, ...]] = {}
    mistakes: list[Mistake] = []
    for key, item in value.items():
        items = tuple(item) if isinstance(item, list | tuple) else (item,)
        if not key or any(isinstance(one, dict | list) or one is None for one in items):
            mistakes.append(Mistake((key,), f"expects a value or a list of values, found {shown(item)}"))
        found[key] = items
    if mistakes:
        raise Mistakes(mistakes)
    return found


Wanted = Annotated[
    dict[str, tuple[Any, ...]],
    PlainValidator(_wanted),
    PlainSerializer(lambda wanted: {key: list(values) for key, values in wanted.items()}),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "array"]}}),
]


class Event(Payload):
    """Something that happened elsewhere."""

    type: Line = Field(description="hub.alert, hub.job, webhook, or any type of a CloudEvent.")
    where: Wanted = Field(
        default_factory=dict,
        description="Fields of the event and the value, or any of the values, that each must have.",
    )
    settle: Wait = Field(timedelta(seconds=10), description="One run for a burst of equal events within this time.")


class After(Payload):
    """The end of another policy's run."""

    policy: Name = Field(description="The other policy, by its name.")
    state: Literal["succeeded", "failed", "refused", "expired", "cancelled", "any"] = Field(
        "succeeded", description="How its run must have ended."
    )


class Trigger(Payload):
    """Why a run starts by itself: exactly one of schedule, threshold, event, after."""

    schedule: Schedule | None = Field(None, description="At local times of a zone.")
    threshold: Threshold | None = Field(None, description="When a pool is too full, until it is not.")
    event: Event | None = Field(None, description="When something happens elsewhere.")
    after: After | None = Field(None, description="When a run of another policy ends.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Trigger":
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            listed = " and ".join(f"`{kind}`" for kind in kinds)
            raise ValueError(
                f"{listed} cannot be in one trigger: write each as an item of its own" if kinds
                else "expects one of schedule, threshold, event, after"
            )  # fmt: skip
        return self

    @property
    def kind(self) -> Literal["schedule", "threshold", "event", "after"]:
        """Name the one that is given."""
        if self.schedule is not None:
            return "schedule"
        if self.threshold is not None:
            return "threshold"
        return "event" if self.event is not None else "after"
