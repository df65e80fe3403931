"""The Temporal Schedules of ours: written, found again, renewed before their calendars run out.

The engine drops an update whose conflict token is stale, and says nothing; the SDK sends no token, so that its updates
overwrite what somebody changed meanwhile. Each write here carries the token, and looks whether it arrived.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio.api.workflowservice.v1 import UpdateScheduleRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.cut_off import CutOff, carried_on, cut_off
from activities.schedule_form import NOT_YET, Found, digest_of, read_found, schedule_of, until_of
from workflows.ids import schedules_prefix
from workflows.scheduled import ScheduledStart

__all__ = [
    "Found",
    "Meanwhile",
    "digest_of",
    "find",
    "find_one",
    "finish",
    "policy_of",
    "put",
    "remove",
    "renew",
    "set_paused",
    "site_of",
]

RENEW_WITHIN = timedelta(days=30)
"""Calendars that end sooner than this are written anew; they reach over a year wherever that is possible."""

_AT_ONCE = 32
_TRIES = 10


class Meanwhile(Exception):
    """Somebody else changes a Schedule at the same time: look again at what it is now."""


def policy_of(task_queue: str, name: str) -> str:
    """Give the policy that the id of a Schedule of ours names."""
    return name.removeprefix(schedules_prefix(task_queue)).split("/")[0]


def site_of(task_queue: str, name: str) -> str:
    """Give the site that the id of a Schedule of ours names."""
    return name.removeprefix(schedules_prefix(task_queue)).partition("/")[2].rpartition("/")[0]


async def put(
    client: Client,
    start: ScheduledStart,
    task_queue: str,
    now: datetime,
    *,
    seen: str | None = None,
    replaces: str | None = None,
    note: str | None = None,
) -> None:
    """Make the Schedule, or write it anew; whoever paused it finds it paused, with the note.

    `seen` is the digest of the one that may be overwritten; raises Meanwhile for any other. `replaces` is the id of a
    Schedule that this one takes the place of: a pause goes over to it, and it waits for `finish` before it begins.
    With a `note` one that is new begins paused.
    """
    name = start.id_in(task_queue)
    old = await find_one(client, replaces) if replaces is not None else None
    if await _create(client, start, task_queue, now, old, note):
        return

    def anew(found: Found, state: ScheduleState) -> Schedule:
        if found.digest not in (seen, digest_of(start)) and found.start is not None:
            raise Meanwhile(f"{name} was written by somebody else meanwhile")
        # What has its place already replaces nothing: the other one may have come back in its own right.
        leaving = replaces or found.replaces if found.waits else None
        return schedule_of(start, task_queue, now, _cut_off(found, now), state, leaving)

    await _write(client, name, anew)


async def finish(client: Client, task_queue: str, name: str, replaces: str | None = None) -> bool:
    """Let a Schedule begin that waits for its place: the one before it goes, its pause stays.

    Done twice it is the same; tells whether there was anything to do. The one before it goes when an apply says so
    (`replaces`), or when it is of an earlier version of the policy, or says the same.
    """
    found = await find_one(client, name, compare=False)
    if found is None or found.start is None or found.replaces is None:
        return False
    old = await find_one(client, found.replaces, compare=False)
    if old is None or old.start is None:
        goes = old is not None
    elif old.start.version > found.start.version and old.id != replaces:
        return False  # It is the right one, and this one is to go.
    else:
        goes = old.id == replaces or old.start.version < found.start.version or old.start.key == found.start.key
    if old is not None and goes:
        if old.paused and (found.waits or not found.paused):
            await set_paused(client, name, True, old.note or "")
        await remove(client, task_queue, old.id)
    await _begin(client, name)
    return goes or found.waits


async def _begin(client: Client, name: str) -> None:
    """End the wait of a Schedule, but not a pause that somebody has put on it meanwhile."""
    for _ in range(_TRIES):
        described = await _describe(client, name)
        if described is None or not described.schedule.state.paused or described.schedule.state.note != NOT_YET:
            return
        described.schedule.state.paused, described.schedule.state.note = False, ""
        await _send(client, name, described.schedule, described.raw_description.conflict_token)
    raise Meanwhile(f"{name} is changed by others again and again")


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


async def find(
    client: Client, task_queue: str, known: Iterable[str] = (), *, policy: str | None = None, compare: bool = True
) -> AsyncIterator[Found]:
    """Give the Schedules of an installation, or of one policy of it.

    The engine's list follows a change within a second or so; `known` ids are looked up whether they are in it or not.
    Who does not `compare` them with what they should be saves their calendars.
    """
    prefix = schedules_prefix(task_queue)
    names = {name for name in known if name.startswith(prefix)}
    async for name in _listed(client, prefix if policy is None else f"{prefix}{policy}/"):
        names.add(name)
    ordered = sorted(names)
    for start in range(0, len(ordered), _AT_ONCE):
        some = ordered[start : start + _AT_ONCE]
        for found in await asyncio.gather(*(find_one(client, name, compare=compare) for name in some)):
            if found is not None:
                yield found


async def _listed(client: Client, prefix: str) -> AsyncIterator[str]:
    """Give the ids in the engine's list that begin so; an engine that cannot look for that is asked for all."""
    query = None if set(prefix) & set("'\"") else f"ScheduleId STARTS_WITH '{prefix}'"
    try:
        found = [one.id async for one in await client.list_schedules(query, page_size=1000)]
    except RPCError as error:
        if query is None or error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        found = [one.id async for one in await client.list_schedules(page_size=1000)]
    for name in found:
        if name.startswith(prefix):
            yield name


async def find_one(client: Client, name: str, *, compare: bool = True) -> Found | None:
    """Look one Schedule up; None when it is gone."""
    described = await _describe(client, name)
    return None if described is None else await read_found(client, name, described, compare=compare)


async def renew(client: Client, task_queue: str, found: Found, now: datetime) -> datetime | None:
    """Write a Schedule's calendars anew where they would run out; give how far they reach now, None when untouched."""
    if not _runs_out(found, now):
        return None
    reached: list[datetime | None] = []

    def anew(found: Found, state: ScheduleState) -> Schedule | None:
        if found.start is None or not _runs_out(found, now):
            return None  # An apply was faster.
        leaving = found.replaces if found.waits else None
        wanted = schedule_of(found.start, task_queue, now, _cut_off(found, now), state, leaving)
        reached.append(until_of(wanted))
        return wanted

    await _write(client, found.id, anew)
    return reached[-1] if reached else None


def _runs_out(found: Found, now: datetime) -> bool:
    return found.start is not None and found.until is not None and found.until - now <= RENEW_WITHIN


async def _create(
    client: Client, start: ScheduledStart, task_queue: str, now: datetime, old: Found | None, note: str | None
) -> bool:
    """Make the Schedule; False when there is one already."""
    if old is not None:
        state = ScheduleState(note=old.note if old.paused else NOT_YET, paused=True)
    else:
        state = ScheduleState(note=note or "", paused=note is not None)
    before = [] if old is None else _cut_off(old, now)
    replaces = None if old is None else old.id
    wanted = await asyncio.to_thread(schedule_of, start, task_queue, now, before, state, replaces)
    with suppress(ScheduleAlreadyRunningError):
        await client.create_schedule(start.id_in(task_queue), wanted)
        return True
    return False


async def _write(client: Client, name: str, anew: Callable[[Found, ScheduleState], Schedule | None]) -> None:
    """Write a Schedule as it is to be in view of what it is, until that arrives; raises Meanwhile."""
    sent: Schedule | None = None
    for _ in range(_TRIES):
        described = await _describe(client, name)
        if described is None:
            raise Meanwhile(f"{name} was deleted by somebody else meanwhile")
        if sent is not None and await _arrived(client, described, sent):
            return
        found = await read_found(client, name, described, compare=False)
        sent = await asyncio.to_thread(anew, found, described.schedule.state)
        if sent is None:
            return
        await _send(client, name, sent, described.raw_description.conflict_token)
    raise Meanwhile(f"{name} is changed by others again and again")


async def _send(client: Client, name: str, schedule: Schedule, token: bytes) -> None:
    """Send a Schedule as it is to be; one whose token is stale may be dropped without a word."""
    request = UpdateScheduleRequest(
        namespace=client.namespace,
        schedule_id=name,
        schedule=await schedule._to_proto(client),  # The SDK has no public way that keeps the token.
        conflict_token=token,
        identity=client.identity,
        request_id=str(uuid.uuid4()),
    )
    try:
        await client.workflow_service.update_schedule(request, retry=True)
    except RPCError as error:
        if error.status is not RPCStatusCode.FAILED_PRECONDITION:  # Servers that do tell of a stale token.
            raise


async def _arrived(client: Client, described: ScheduleDescription, sent: Schedule) -> bool:
    there, mine = described.schedule.action, sent.action
    assert isinstance(mine, ScheduleActionStartWorkflow), "ours start workflows"
    if not isinstance(there, ScheduleActionStartWorkflow) or not there.memo or not mine.memo:
        return False
    memo = {word: (await client.data_converter.decode([value]))[0] for word, value in there.memo.items()}
    return all(memo.get(word) == mine.memo[word] for word in ("written", "digest"))


async def _describe(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def _cut_off(found: Found, now: datetime) -> list[CutOff]:
    """Give the starts that may not be made any more if a Schedule is written anew now; a paused one makes none."""
    own: Iterable[CutOff] = ()
    if found.start is not None and found.written is not None and not found.paused:
        own = cut_off(found.start, found.fire, found.written, found.last, now)
    return carried_on([*own, *found.cut_off], now)
