"""When an answer about a file would change, if the file stays as it is: ages grow, nothing else does."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from workflows.conditions import AllOf, AnyOf, Condition, Named, Not
from workflows.matching import Decision, FileFacts, decide, truth, turning_points
from workflows.selecting import Select

__all__ = ["NewDecision", "NewTruth", "next_decision", "next_truth"]

MOST_MOMENTS: Final = 1_000
LAST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999; what comes later has no date."""


class NewDecision(NamedTuple):
    """From this moment, in microseconds since the epoch, another decision holds."""

    at_us: int
    decision: Decision


class NewTruth(NamedTuple):
    """From this moment, in microseconds since the epoch, a condition has another truth."""

    at_us: int
    truth: bool | None


def next_decision(select: Select, facts: FileFacts, as_of_us: int) -> NewDecision | None:
    """Tell from when on the policy decides otherwise about the file; None when it never does."""
    now = decide(select, facts, as_of_us)
    conditions = [*select.exclude, *(rule.match for rule in select.rules)]
    for moment in _moments(conditions, select.classes, facts, as_of_us):
        if (later := decide(select, facts, moment)) != now:
            return NewDecision(moment, later)
    return None


def next_truth(
    condition: Condition, classes: Mapping[str, Condition], facts: FileFacts, as_of_us: int
) -> NewTruth | None:
    """Tell from when on a condition has another truth for the file; None when it never has."""
    now = truth(condition, facts, as_of_us, classes)
    for moment in _moments([condition], classes, facts, as_of_us):
        if (later := truth(condition, facts, moment, classes)) != now:
            return NewTruth(moment, later)
    return None


def _moments(
    conditions: list[Condition], classes: Mapping[str, Condition], facts: FileFacts, as_of_us: int
) -> list[int]:
    found: set[int] = set()
    seen: set[str] = set()
    for condition in conditions:
        for leaf in _leaves(condition, classes, seen):
            found.update(turning_points(leaf, facts))
    return sorted(moment for moment in found if as_of_us < moment <= LAST_US)[:MOST_MOMENTS]


def _leaves(condition: Condition, classes: Mapping[str, Condition], seen: set[str]) -> Iterator[Condition]:
    match condition:
        case AllOf(of) | AnyOf(of):
            for part in of:
                yield from _leaves(part, classes, seen)
        case Not(of):
            yield from _leaves(of, classes, seen)
        case Named(name):
            if name not in seen:
                seen.add(name)
                yield from _leaves(classes[name], classes, seen)
        case _:
            yield condition
