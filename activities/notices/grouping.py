"""Which waiting notices go now, and which of them together: a storm becomes a few messages with counts."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from activities.notices.targets import Target
from workflows.units import microseconds

SEPARATE = 3
"""So many groups go as messages of their own at once; when there are more, the rest goes in one."""

HOUR = timedelta(hours=1)


class Waiting(NamedTuple):
    """A notice that waits for its target."""

    id: int
    group: str
    urgent: bool
    made_us: int


def ready(
    waiting: Sequence[Waiting], last_sent: Mapping[str, int], sent_lately: int, target: Target, now_us: int
) -> list[list[Waiting]]:
    """Give the messages that may go now, each the notices in it, the urgent ones first.

    A group's first message waits `settle` for others like it, a further one until `again` after the last; a target gets
    no more than `at_most` in an hour, `sent_lately` of which it had. What may not go waits and goes with the next.
    """
    groups: dict[str, list[Waiting]] = {}
    for one in waiting:
        groups.setdefault(one.group, []).append(one)
    due = [found for group, found in groups.items() if _is_due(found, last_sent.get(group), target, now_us)]
    due.sort(key=lambda found: (not any(one.urgent for one in found), found[0].made_us))
    allowed = min(SEPARATE, target.at_most - sent_lately)
    if allowed <= 0 or len(due) <= allowed:
        return due if allowed > 0 else []
    return [*due[: allowed - 1], [one for found in due[allowed - 1 :] for one in found]]


def _is_due(found: Sequence[Waiting], last_us: int | None, target: Target, now_us: int) -> bool:
    if last_us is not None and now_us < last_us + microseconds(target.again):
        return False
    return now_us >= min(one.made_us for one in found) + microseconds(target.settle)
