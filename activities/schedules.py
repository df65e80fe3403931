"""The Temporal Schedules of ours: made from a scheduled start, found again, renewed before their calendars run out.

The engine gets explicit UTC calendars and no zone. What a Schedule is for is in its action: the scheduled start as its
argument and, as a memo, our digest, when it was written and how far its calendars reach.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import rfc8785
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.calendars import calendars
from workflows.ids import fire_id, schedules_prefix
from workflows.scheduled import ScheduledStart

RENEW_WITHIN = timedelta(days=30)
"""Calendars that end sooner than this are written anew; they reach over a year wherever that is possible."""

_AT_ONCE = 32

_FORM = 1
"""The form in which a scheduled start becomes a Schedule; another one means that all are written anew."""


@dataclass(frozen=True)
class Found:
    """A Schedule of ours as the engine has it.

    `start` and `digest` are missing where somebody has put something else into it. `whole` tells whether its calendars
    and its policies are still the ones that were written.
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


def policy_of(schedule: str) -> str:
    """Give the policy that the id of a Schedule of ours names."""
    return schedule.rsplit("/schedule/", 1)[1].split("/")[0]


def digest_of(start: ScheduledStart) -> str:
    """Identify what a Schedule is to do: SHA-256 over the policy, its version, the site and the trigger."""
    body: dict[str, str | int] = {
        "form": _FORM,
        "policy": start.policy.digest,
        "version": start.version,
        "site": start.site,
        "trigger": start.trigger,
    }
    return sha256(rfc8785.dumps(body)).hexdigest()


async def put(client: Client, start: ScheduledStart, task_queue: str, now: datetime) -> None:
    """Make the Schedule, or write it anew; whoever paused it finds it paused, with the note."""
    wanted, name = _schedule(start, task_queue, now), start.id_in(task_queue)
    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:
        await _rewrite(client, name, wanted)


async def remove(client: Client, task_queue: str, name: str) -> None:
    """Delete a Schedule of ours; one that is gone stays so."""
    if not name.startswith(schedules_prefix(task_queue)):
        raise ValueError(f"{name} is not a Schedule of ours")
    try:
        await client.get_schedule_handle(name).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def set_paused(client: Client, name: str, paused: bool, note: str) -> None:
    """Pause a Schedule or let it go on."""
    handle = client.get_schedule_handle(name)
    await (handle.pause(note=note) if paused else handle.unpause(note=note))


async def find(client: Client, task_queue: str, known: Iterable[str] = ()) -> AsyncIterator[Found]:
    """Give the Schedules of an installation.

    The engine's list follows a change within a second or so; `known` ids are looked up whether they are in it or not.
    """
    prefix = schedules_prefix(task_queue)
    names = {name for name in known if name.startswith(prefix)}
    async for listed in await client.list_schedules(page_size=1000):
        if listed.id.startswith(prefix):
            names.add(listed.id)
    ordered = sorted(names)
    for start in range(0, len(ordered), _AT_ONCE):
        for found in await asyncio.gather(*(find_one(client, name) for name in ordered[start : start + _AT_ONCE])):
            if found is not None:
                yield found


async def find_one(client: Client, name: str) -> Found | None:
    """Look one Schedule up; None when it is gone."""
    try:
        described = await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    start, memo = await _read(client, described)
    state = described.schedule.state
    written, until = (datetime.fromisoformat(memo[word]) if memo.get(word) else None for word in ("written", "until"))
    return Found(
        id=name,
        start=start,
        digest=memo.get("digest"),
        written=written,
        until=until,
        paused=state.paused,
        note=state.note,
        next_times=tuple(described.info.next_action_times),
        whole=start is not None and written is not None and _is_whole(described.schedule, start, written),
    )


async def renew(client: Client, found: Found, now: datetime) -> datetime | None:
    """Write a Schedule's calendars anew where they would run out; give how far they reach now, None when untouched."""
    if found.start is None or found.until is None or found.until - now > RENEW_WITHIN:
        return None
    described = await client.get_schedule_handle(found.id).describe()
    action = described.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow), "ours start workflows"
    wanted = _schedule(found.start, action.task_queue, now)
    await _rewrite(client, found.id, wanted)
    until = _memo(wanted)["until"]
    return datetime.fromisoformat(until) if until else None


async def _rewrite(client: Client, name: str, wanted: Schedule) -> None:
    def keep_state(given: ScheduleUpdateInput) -> ScheduleUpdate:
        # A Schedule without a state would go on although somebody had paused it.
        return ScheduleUpdate(schedule=replace(wanted, state=given.description.schedule.state))

    await client.get_schedule_handle(name).update(keep_state)


def _schedule(start: ScheduledStart, task_queue: str, written: datetime) -> Schedule:
    # A start that may still have to be caught up must be in the calendars.
    reach = calendars(start.schedule, written - start.schedule.catch_up)
    memo = {
        "digest": digest_of(start),
        "written": written.isoformat(),
        "until": None if reach.until is None else reach.until.isoformat(),
        "policy": start.policy.name,
        "version": start.version,
        "cron": start.text,
    }
    return Schedule(
        action=ScheduleActionStartWorkflow(
            "Fire",
            start,
            id=fire_id(task_queue, start.policy.name, start.site, start.trigger),
            task_queue=task_queue,
            memo=memo,
            static_summary=f"{start.policy.name}: {start.text}"[:200],
        ),
        spec=ScheduleSpec(calendars=list(reach.specs), jitter=start.schedule.jitter or None),
        # The desk decides what overlaps, for all triggers of a policy; here each fire time only tells it.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL, catchup_window=start.schedule.catch_up),
        state=ScheduleState(note=""),
    )


def _memo(schedule: Schedule) -> Any:
    assert isinstance(schedule.action, ScheduleActionStartWorkflow), "ours start workflows"
    return schedule.action.memo


async def _read(client: Client, described: ScheduleDescription) -> tuple[ScheduledStart | None, dict[str, Any]]:
    """Decode what a Schedule carries; whatever is not ours reads as nothing."""
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
    wanted = _schedule(start, there.action.task_queue, written.astimezone(UTC))
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
