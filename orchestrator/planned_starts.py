"""The starts of a policy by the clock: the fire times of all its schedules, as one list."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import merge

from activities.fire_times import FireTime, fire_times
from workflows.policy import Policy
from workflows.triggers import Schedule

__all__ = ["PlannedStart", "planned_starts"]


@dataclass(frozen=True, slots=True)
class PlannedStart:
    """A moment at which a trigger, by its place among the policy's triggers, starts the policy."""

    time: FireTime
    trigger: int
    schedule: Schedule


def planned_starts(policy: Policy, after: datetime, until: datetime | None = None) -> Iterator[PlannedStart]:
    """Give the starts after `after` up to and with `until`, in order; those of one moment in the order of the triggers.

    Nothing is said of `overlap`: what a start does while an earlier run is open is known only then.
    """
    starts = [
        _starts(index, trigger.schedule, after, until)
        for index, trigger in enumerate(policy.triggers)
        if trigger.schedule is not None
    ]
    return merge(*starts, key=lambda start: start.time.at)


def _starts(index: int, schedule: Schedule, after: datetime, until: datetime | None) -> Iterator[PlannedStart]:
    return (PlannedStart(time, index, schedule) for time in fire_times(schedule, after, until))
