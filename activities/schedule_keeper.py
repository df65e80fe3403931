"""Keeps the Schedules going: renews calendars that would run out, and records the starts that were missed."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities import schedules
from activities.audit import Audit, AuditRecord, Event, record_key
from activities.fire_times import fire_times
from activities.heartbeat import beating
from activities.holds import Hold, Holds
from activities.schedules import Found
from activities.starting import missed_start, start_key
from workflows.ids import fired_id
from workflows.payload import Payload
from workflows.scheduled import Keep
from workflows.triggers import Schedule

GRACE = timedelta(minutes=2)
"""How much later than its catch-up window a start may still come; the engine looks at the window first."""

MOST_MISSED = 1000
"""So many missed starts of one schedule are recorded at once; an outage of a week has 672 quarters of an hour."""

Held = Sequence[tuple[Hold, datetime | None]]
"""All holds that there ever were, each with the moment at which it was lifted."""

_log = logging.getLogger(__name__)


class Kept(Payload):
    """How far this look has come, what it did, and which Schedules run out although they should have been renewed."""

    looked: datetime
    renewed: tuple[str, ...] = ()
    missed: int = 0
    running_out: tuple[str, ...] = ()


@dataclass
class ScheduleKeeper:
    """The activity; it reads the engine and writes only what must be renewed."""

    client: Client
    audit: Audit
    holds: Holds
    task_queue: str
    grace: timedelta = GRACE

    @activity.defn
    async def keep_schedules(self, keep: Keep) -> Kept:
        """Look at every Schedule of ours once."""
        now = datetime.now(UTC)
        renewed, running_out, missed = [], [], 0
        async with beating(lambda: {"missed": missed}):
            holds = await asyncio.to_thread(self.holds.ever)
            async for found in schedules.find(self.client, self.task_queue, compare=False):
                try:
                    if found.replaces is not None:
                        await schedules.finish(self.client, self.task_queue, found.id)
                    until = await schedules.renew(self.client, self.task_queue, found, now)
                except Exception as error:
                    # One that cannot be renewed must not stop the others; it is told, and tried again in minutes.
                    _log.exception("a schedule could not be renewed: %s", found.id)
                    running_out.append(f"{found.id}: {error}")
                    await self._alarm(found, str(error), now)
                    until = None
                if until is not None:
                    renewed.append(found.id)
                    await self._tell_renewed(found, until)
                missed += await self._record_missed(found, holds, keep.looked, now)
                missed += await self._record_cut_off(found, keep.looked, now)
        return Kept(looked=now, renewed=tuple(renewed), missed=missed, running_out=tuple(running_out))

    async def _tell_renewed(self, found: Found, until: datetime) -> None:
        body = {"schedules": [found.id], "until": until.isoformat()}
        key = record_key(None, Event.SCHEDULES_RENEWED, found.id, until.isoformat())
        await self.audit.write(AuditRecord(event=Event.SCHEDULES_RENEWED, actor="engine", key=key, body=body))

    async def _alarm(self, found: Found, error: str, now: datetime) -> None:
        """Say once a day that a schedule is not renewed and when it ends."""
        ends = None if found.until is None else found.until.isoformat()
        body = {"schedules": [found.id], "ends": ends, "error": error}
        key = record_key(None, Event.SCHEDULES_RUNNING_OUT, found.id, f"{now:%Y-%m-%d}")
        await self.audit.write(AuditRecord(event=Event.SCHEDULES_RUNNING_OUT, actor="engine", key=key, body=body))

    async def _record_missed(self, found: Found, holds: Held, looked: datetime | None, now: datetime) -> int:
        start = found.start
        if start is None or found.waits:
            return 0
        missed = 0
        times = await asyncio.to_thread(lambda: list(islice(due(found, looked, now, self.grace), MOST_MISSED)))
        for meant in times:
            missed += await self._record(missed_start(start, meant, why=held_back(found, holds, meant)))
        return missed

    async def _record_cut_off(self, found: Found, looked: datetime | None, now: datetime) -> int:
        """Record the starts that were still to be made when their Schedule was written anew, and were not."""
        start = found.start
        if start is None:
            return 0
        missed = 0
        for one in found.cut_off:
            for meant in one.settled(looked, now, self.grace):
                # Delayed by its jitter, a start may have been made by the Schedule that came after.
                made = await self._is_made(one.fired_at(meant)) or await self._is_made(fired_id(found.fire, meant))
                if made or await self.audit.find(start_key(start.key_at(meant))) is not None:
                    continue
                why = f"its schedule was written anew at {one.at:%Y-%m-%d %H:%M:%S} UTC, and nothing had started it yet"
                missed += await self._record(missed_start(start, meant, key=one.key_at(meant), text=one.text, why=why))
        return missed

    async def _is_made(self, fired: str) -> bool:
        """Tell whether the engine has started something, which may still have to be heard."""
        try:
            await self.client.get_workflow_handle(fired).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _record(self, record: AuditRecord) -> int:
        if await self.audit.find(record.key) is not None:
            return 0
        return int((await self.audit.write(record))[0].same)


def held_back(found: Found, holds: Held, meant: datetime) -> str | None:
    """Say who held back the start of a fire time; None where nobody is known to have."""
    start = found.start
    assert start is not None, "what is due has a start"
    for hold, lifted in holds:
        stood = hold.since <= meant and (lifted is None or meant < lifted)
        if stood and hold.covers(start.policy.name, start.site, start.policy.labels):
            return str(hold) + ("" if lifted is None else f"; that ended at {lifted:%Y-%m-%d %H:%M} UTC")
    if found.paused:
        return "its schedule is paused" + (f": {found.note}" if found.note else "")
    return None


def due(found: Found, looked: datetime | None, now: datetime, grace: timedelta = GRACE) -> Iterator[datetime]:
    """Give the fire times that must have been heard of by now, and had not to be at the last look.

    What lies before the Schedule was written is not its own: the engine starts nothing from before a change, and what
    a change cut off is told of by `CutOff`. A start that another schedule of the policy means too is that one's while
    it has more patience.
    """
    start = found.start
    if start is None or found.written is None:
        return
    late = start.schedule.catch_up + start.jitter + grace
    since = found.written if looked is None else max(found.written, looked - late)
    others = [one.schedule for one in start.policy.triggers if one.schedule is not None]
    patient = [one for one in others if one.catch_up + one.jitter + grace > late]
    for one in fire_times(start.schedule, since, now - late):
        if not any(_fires_at(each, one.at) for each in patient):
            yield one.at


def _fires_at(schedule: Schedule, moment: datetime) -> bool:
    return next(fire_times(schedule, moment - timedelta(seconds=1), moment), None) is not None
