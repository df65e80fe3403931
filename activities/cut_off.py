"""Starts that the writing of a Schedule cut off: the engine starts nothing from before a change.

A start whose time has come and that the engine has not made yet - it was away, or has this moment come back - is never
made once its Schedule is written anew. The new Schedule names these starts, so that the keeper can tell which of them
were made all the same, and record the others as missed, whatever crashes in between.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from activities.fire_times import fire_times
from workflows.ids import fired_id
from workflows.payload import Payload
from workflows.scheduled import ScheduledStart, key_at

MOST_CUT_OFF = 1000
"""So many fire times are named at most, the newest ones."""

KEPT = timedelta(days=7)
"""So long they are carried on when a Schedule is written again; the keeper looks every few minutes."""


class CutOff(Payload):
    """Fire times of one trigger that may not have been made when its Schedule was written anew at `at`."""

    starts: str
    fire: str
    text: str
    times: tuple[datetime, ...]
    at: datetime
    jitter: timedelta

    def settled(self, since: datetime | None, now: datetime, grace: timedelta) -> Iterator[datetime]:
        """Give the fire times that must have been made by now, if ever, and need not have been at `since`."""
        for one in self.times:
            by = max(self.at, one + self.jitter) + grace
            if by <= now and (since is None or by > since):
                yield one

    def key_at(self, meant: datetime) -> str:
        """Give the key of the start that a fire time means."""
        return key_at(self.starts, meant)

    def fired_at(self, meant: datetime) -> str:
        """Give the id of what the Schedule has started for a fire time, if it has."""
        return fired_id(self.fire, meant)


def cut_off(
    start: ScheduledStart, fire: str, written: datetime, last: datetime | None, now: datetime
) -> Iterator[CutOff]:
    """Give the fire times of a Schedule that may not have been made, if it is written anew now.

    `fire` begins the ids of what it starts.
    The engine makes starts in their order: what comes before the `last` one, by more than the jitter, is made.
    """
    since = written if last is None else max(written, last - start.jitter)
    times = deque((one.at for one in fire_times(start.schedule, since, now)), MOST_CUT_OFF)
    if times:
        yield CutOff(
            starts=start.starts,
            fire=fire,
            text=start.text,
            times=tuple(times),
            at=now,
            jitter=start.jitter,
        )


def carried_on(ones: Iterable[CutOff], now: datetime) -> list[CutOff]:
    """Give what is still to be named, the newest first, up to as many fire times as there may be."""
    kept: list[CutOff] = []
    for one in sorted(ones, key=lambda each: each.at, reverse=True):
        if now - one.at < KEPT and sum(len(each.times) for each in kept) + len(one.times) <= MOST_CUT_OFF:
            kept.append(one)
    return kept
