"""Whose turn it is: overlap of one policy's runs, the limit of a site, priorities. Plain rules over plain values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from workflows.starts import OpenRun, Waiting, Wish

MOST_WAITING = 200
MOST_WAITING_BYTES = 600_000
"""Requests of starts that wait; with what has arrived and was answered they stay below the engine's 2 MiB a value."""

MOST_ARRIVED_BYTES = 300_000


@dataclass(frozen=True)
class Turn:
    """What is to be done with a wish that has just come: `cancel` and `drop` make room for it first."""

    verdict: Literal["begin", "queue", "skip"]
    why: str = ""
    cancel: tuple[str, ...] = ()
    drop: tuple[Waiting, ...] = ()


def turn_of(wish: Wish, open_runs: Sequence[OpenRun], waiting: Sequence[Waiting]) -> Turn:
    """Meet the overlap rule of a wish, against every open run and every waiting start of its policy."""
    runs = [one.run for one in open_runs if one.policy == wish.policy]
    before = [one for one in waiting if one.wish.policy == wish.policy]
    if wish.overlap == "allow" or not (runs or before):
        return Turn("begin")
    busy = f"run {runs[0]} is open" if runs else f"a start of {before[0].since:%Y-%m-%d %H:%M} UTC waits already"
    if wish.overlap == "skip":
        return Turn("skip", f"{busy} (overlap: skip)")
    if wish.overlap == "queue_one" and before:
        return Turn("skip", "a start waits already (overlap: queue_one)")
    if wish.overlap == "cancel_running":
        return Turn("queue" if runs else "begin", f"{busy} and is cancelled", tuple(runs), tuple(before))
    return Turn("queue", busy)


def may_wait(wish: Wish, waiting: Iterable[Waiting]) -> bool:
    """Tell whether one more start may wait: all of them travel in one value when a desk takes a fresh history."""
    sizes = [_size(one.wish) for one in waiting]
    return len(sizes) < MOST_WAITING and sum(sizes) + _size(wish) <= MOST_WAITING_BYTES


def may_travel(arrived: Iterable[Wish]) -> bool:
    """Tell whether wishes that are not heard yet fit into the value that a desk hands to itself."""
    return sum(map(_size, arrived)) < MOST_ARRIVED_BYTES


def _size(wish: Wish) -> int:
    return len(wish.request.encode()) + len(wish.model_dump_json(exclude={"request"}))


def may_begin(wish: Wish, open_runs: Sequence[OpenRun]) -> bool:
    """Tell whether the runs of its own policy let a wish begin now."""
    return wish.overlap == "allow" or all(one.policy != wish.policy for one in open_runs)


def in_turn(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Put waiting starts into the order of their turns: by priority, then as they came."""
    return sorted(waiting, key=lambda one: (one.wish.priority, one.since))
