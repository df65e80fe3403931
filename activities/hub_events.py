"""Follows the Hub: its alerts and its finished jobs become events, told to the router with how far it came."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from activities.errors import HubError
from activities.events import tell_router
from activities.heartbeat import beating
from activities.hub import alerts, jobs
from activities.hub.client import Hub
from activities.hub.jobs import Job
from activities.hub.states import state_of
from workflows.events import HUB_ALERT, HUB_JOB, CloudEvent, HubCursor
from workflows.payload import Payload

FASTEST = 1.0
SLOWEST = 15.0
"""Seconds between two looks: short after news, longer while there is none, and while the Hub is away."""

LOOK_BACK = timedelta(days=1)
"""Jobs that were made so long before the first look, and end after it, are events too."""

_log = logging.getLogger(__name__)


class Follow(Payload):
    """Which events of the Hub are wanted, and how far it was followed."""

    types: tuple[str, ...]
    cursor: HubCursor


@dataclass
class HubEvents:
    """The activity: each event is told at least once; the router hears it once."""

    hub: Hub
    client: Client
    task_queue: str

    @activity.defn
    async def follow_hub(self, follow: Follow) -> None:
        """Look again and again until nobody wants these events; the Hub may be away meanwhile."""
        beats = activity.info().heartbeat_details
        cursor = HubCursor.model_validate(beats[0]) if beats else follow.cursor
        wait = FASTEST
        async with beating(lambda: cursor.model_dump(mode="json")):
            while True:
                try:
                    events, seen = await self._look(follow.types, cursor)
                except HubError as error:
                    _log.warning("the Hub could not be asked for events: %s", error)
                    events, seen = [], cursor
                if seen != cursor:
                    await tell_router(self.client, self.task_queue, events, seen)
                    cursor = seen
                wait = FASTEST if events else min(wait * 1.5, SLOWEST)
                await asyncio.sleep(wait)

    async def _look(self, types: tuple[str, ...], cursor: HubCursor) -> tuple[list[CloudEvent], HubCursor]:
        events: list[CloudEvent] = []
        if HUB_ALERT in types:
            found, standing = await self._alerts(cursor)
            events += found
            cursor = cursor.model_copy(update={"alerts": standing})
        if HUB_JOB in types:
            found, told, since = await self._jobs(cursor)
            events += found
            cursor = cursor.model_copy(update={"jobs": told, "since": since})
        return events, cursor

    async def _alerts(self, cursor: HubCursor) -> tuple[list[CloudEvent], tuple[str, ...]]:
        events, standing = [], []
        async for alert in alerts.alerts(self.hub):
            if alert.suppressed:
                continue
            name = f"{alert.id}-{alert.timestamp:%Y%m%dT%H%M%S%f}"
            standing.append(name)
            if name not in cursor.alerts:
                events.append(
                    CloudEvent(
                        id=name,
                        source="hub/alerts",
                        type=HUB_ALERT,
                        subject=alert.name,
                        time=alert.timestamp.isoformat(),
                        data=alert.model_dump(mode="json"),
                    )
                )
        return events, tuple(standing)

    async def _jobs(self, cursor: HubCursor) -> tuple[list[CloudEvent], tuple[int, ...], str]:
        """Give the jobs that ended since the last look; those that had ended before the first one are no news."""
        first = cursor.since is None
        since = datetime.now(UTC) - LOOK_BACK if cursor.since is None else datetime.fromisoformat(cursor.since)
        listed = [job async for job in jobs.find(self.hub, created_from=since)]
        ended = {job.id: job for job in listed if job.state is not None and state_of(job.state).final}
        unknown = [job for job in listed if job.state is None and job.id not in cursor.jobs]
        if unknown:
            states = await jobs.states(self.hub, [job.id for job in unknown])
            ended |= {
                job.id: job.model_copy(update={"state": states[job.id].word})
                for job in unknown
                if job.id in states and states[job.id].final
            }
        events = (
            [] if first else [_job_event(job) for number, job in sorted(ended.items()) if number not in cursor.jobs]
        )
        known = {job.id for job in listed}
        told = tuple(sorted({*ended, *(number for number in cursor.jobs if number in known)}))
        open_since = [job.created for job in listed if job.id not in ended and job.created is not None]
        oldest = min([*open_since, datetime.now(UTC) - timedelta(hours=1)])
        return events, told, max(since, oldest).isoformat() if len(told) > _MANY else since.isoformat()


_MANY = 2_000
"""With more told jobs than this the look-back moves on to the oldest job that is still open."""


def _job_event(job: Job) -> CloudEvent:
    data = {"id": job.id, "site": job.site, "workflow": job.workflow, "queue": job.queue, "state": job.state}
    made = "" if job.created is None else f"-{job.created:%Y%m%dT%H%M%S}"
    return CloudEvent(id=f"{job.id}{made}", source="hub/jobs", type=HUB_JOB, subject=job.workflow, data=data)
