"""The form of a Schedule: what a scheduled start becomes in Temporal, and how it is read and compared again.

The engine gets explicit UTC calendars and no zone. What a Schedule is for is in its action: the scheduled start as its
argument and, as a memo, our digest, when it was written, how far its calendars reach, and what its writing cut off.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import rfc8785
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)

from activities.calendars import calendars
from activities.cut_off import CutOff
from workflows.scheduled import ScheduledStart

NOT_YET = "apply: it begins when the schedule that it replaces is gone"
"""The note of a Schedule that has not taken its place yet: two would start the policy at their times."""

_FORM = 2
"""The form in which a scheduled start becomes a Schedule; another one means that all are written anew."""


@dataclass(frozen=True)
class Found:
    """A Schedule of ours as the engine has it.

    `start` and `digest` are missing where somebody has put something else into it. `whole` tells whether its calendars
    and its policies are still the ones that were written. `fire` begins the ids of what it starts, and
    `last` is when it last started something, jitter included. `replaces` is the id of the one whose place it takes.
    """

    id: str
    start: ScheduledStart | None
    digest: str | None
    written: datetime | None
    until: datetime | None
    paused: bool
    note: str | None
    next_times: tuple[datetime, ...]
    whole: bool
    fire: str = ""
    last: datetime | None = None
    cut_off: tuple[CutOff, ...] = ()
    replaces: str | None = None

    @property
    def waits(self) -> bool:
        """Whether it is there already and begins when the one whose place it takes is gone."""
        return self.paused and self.note == NOT_YET


def digest_of(start: ScheduledStart) -> str:
    """Identify what a Schedule is to do: SHA-256 over the policy, its version, the site and the trigger."""
    body: dict[str, str | int] = {
        "form": _FORM,
        "policy": start.policy.digest,
        "version": start.version,
        "site": start.site,
        "trigger": start.key,
    }
    return sha256(rfc8785.dumps(body)).hexdigest()


def schedule_of(
    start: ScheduledStart,
    task_queue: str,
    written: datetime,
    cut_off: Iterable[CutOff] = (),
    state: ScheduleState | None = None,
    replaces: str | None = None,
) -> Schedule:
    """Give the Schedule of a scheduled start, as it is written at this moment."""
    # A start that may still have to be caught up must be in the calendars.
    reach = calendars(start.schedule, written - start.schedule.catch_up)
    memo = {
        "digest": digest_of(start),
        "written": written.isoformat(),
        "until": None if reach.until is None else reach.until.isoformat(),
        "policy": start.policy.name,
        "version": start.version,
        "cron": start.text,
        "cut_off": [one.model_dump(mode="json") for one in cut_off],
        "replaces": replaces,
    }
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "Fire",
            start,
            id=start.fire_in(task_queue),
            task_queue=task_queue,
            memo=memo,
            static_summary=f"{start.policy.name}: {start.text}"[:200],
        ),
        spec=ScheduleSpec(calendars=list(reach.specs), jitter=start.schedule.jitter or None),
        # The desk decides what overlaps, for all triggers of a policy; here each fire time only tells it.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=start.schedule.catch_up),
        state=state or ScheduleState(note=""),
    )


def until_of(schedule: Schedule) -> datetime | None:
    """Give how far the calendars of a Schedule reach that `schedule_of` gave; None for ever."""
    assert isinstance(schedule.action, ScheduleActionStartWorkflow), "ours start workflows"
    memo: Any = schedule.action.memo
    return datetime.fromisoformat(memo["until"]) if memo["until"] else None


async def read_found(client: Client, name: str, described: ScheduleDescription, *, compare: bool = True) -> Found:
    """Read what a Schedule carries; whatever is not ours reads as nothing.

    Whether it is `whole` costs its calendars; who does not `compare` is told that it is.
    """
    start, memo = await _read(client, described)
    action = described.schedule.action
    state = described.schedule.state
    written, until = (datetime.fromisoformat(memo[word]) if memo.get(word) else None for word in ("written", "until"))
    whole = start is not None and written is not None
    if compare and start is not None and written is not None:
        # Calendars of years take the better part of a second: what else this process does must go on.
        whole = await asyncio.to_thread(_is_whole, described.schedule, start, written)
    return Found(
        id=name,
        start=start,
        digest=memo.get("digest"),
        written=written,
        until=until,
        paused=state.paused,
        note=state.note,
        next_times=tuple(described.info.next_action_times),
        whole=whole,
        fire=action.id if isinstance(action, ScheduleActionStartWorkflow) else "",
        last=max((one.scheduled_at for one in described.info.recent_actions), default=None),
        cut_off=tuple(CutOff.model_validate(one) for one in memo.get("cut_off") or ()),
        replaces=memo.get("replaces"),
    )


async def _read(client: Client, described: ScheduleDescription) -> tuple[ScheduledStart | None, dict[str, Any]]:
    action = described.schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow) or action.workflow != "Fire":
        return None, {}
    memo = {}
    for word, value in (action.memo or {}).items():
        memo[word] = (await client.data_converter.decode([value]))[0]
    try:
        [start] = await client.data_converter.decode(list(action.args), [ScheduledStart])
    except (ValueError, RuntimeError):
        return None, memo
    return start, memo


def _is_whole(there: Schedule, start: ScheduledStart, written: datetime) -> bool:
    assert isinstance(there.action, ScheduleActionStartWorkflow), "ours start workflows"
    wanted = schedule_of(start, there.action.task_queue, written.astimezone(UTC))
    return (
        _entries(there.spec) == _entries(wanted.spec)
        and there.spec.jitter == wanted.spec.jitter
        and there.policy.overlap == wanted.policy.overlap
        and there.policy.catchup_window == wanted.policy.catchup_window
    )


def _entries(spec: ScheduleSpec) -> tuple[Any, ...]:
    """Give what decides the fire times, in a form in which lists and tuples are alike."""
    calendars_there = tuple(
        tuple(tuple(getattr(one, field.name) or ()) for field in fields(one)) for one in spec.calendars
    )
    others = (spec.intervals, spec.cron_expressions, spec.skip)
    return (calendars_there, *(tuple(other or ()) for other in others), spec.start_at, spec.end_at)
