"""Follows the Hub: its alerts and its finished jobs become events, told to the router with how far it came."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from temporalio import activity
from temporalio.client import Client

from activities.errors import HubError
from activities.finished_jobs import Look
from activities.heartbeat import beating
from activities.hub import alerts
from activities.hub.client import Hub
from activities.router_line import RouterBusy, RouterLine
from workflows.events import HUB_ALERT, HUB_JOB, CloudEvent, HubCursor
from workflows.payload import Payload

FASTEST = 1.0
SLOWEST = 15.0
"""Seconds between two looks: short after news, longer while there is none, and while the Hub is away."""

MOVES_EVERY = 60.0
"""Seconds after which a cursor that moved without news is told; until then only the heartbeat carries it."""

MOST_ALERTS = 1_000
"""Of so many alerts, the newest, it is remembered that they were told; older ones count as told."""

_TOGETHER = 100
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

    def __post_init__(self) -> None:
        self._router = RouterLine(self.client, self.task_queue)

    @activity.defn
    async def follow_hub(self, follow: Follow) -> None:
        """Look again and again until nobody wants these events; the Hub may be away meanwhile."""
        beats = activity.info().heartbeat_details
        cursor = HubCursor.model_validate(beats[0]) if beats else follow.cursor
        told, wait = float("-inf"), FASTEST
        async with beating(lambda: cursor.model_dump(mode="json", exclude_defaults=True)):
            while True:
                news = False
                try:
                    news, seen = await self._look(follow.types, cursor)
                    if news or (seen != cursor and time.monotonic() - told > MOVES_EVERY):
                        await self._router.move_cursor([], seen)
                        told = time.monotonic()
                    cursor = seen
                except (HubError, RouterBusy) as error:
                    _log.warning("the Hub is not followed for now: %s", error)
                wait = FASTEST if news else min(wait * 1.5, SLOWEST)
                await asyncio.sleep(wait)

    async def _look(self, types: tuple[str, ...], cursor: HubCursor) -> tuple[bool, HubCursor]:
        """Tell what is new, and give whether there was anything and how far that is.

        The cursor is told after the events, never with them or before: a worker that dies in between finds them again.
        """
        news = False
        if HUB_ALERT in types:
            found, cursor = await self._alerts(cursor)
            for start in range(0, len(found), _TOGETHER):
                await self._router.tell(found[start : start + _TOGETHER])
                news = True
        if HUB_JOB in types:
            look = Look(self.hub, cursor)
            async for some in _groups(look.events()):
                await self._router.tell(some)
                news = True
            cursor = look.cursor
        return news, cursor

    async def _alerts(self, cursor: HubCursor) -> tuple[list[CloudEvent], HubCursor]:
        """Give the alerts that stand and were not told."""
        standing = [alert async for alert in alerts.alerts(self.hub) if not alert.suppressed]
        standing.sort(key=lambda alert: (alert.timestamp, alert.id))
        before = cursor.alerts_before
        if len(standing) > MOST_ALERTS:
            standing = standing[-MOST_ALERTS:]
            before = standing[0].timestamp.isoformat()
        told = set(cursor.alerts)
        names = [f"{alert.id}-{alert.timestamp:%Y%m%dT%H%M%S%f}" for alert in standing]
        found = [
            CloudEvent(
                id=name,
                source="hub/alerts",
                type=HUB_ALERT,
                subject=alert.name,
                time=alert.timestamp.isoformat(),
                data=alert.model_dump(mode="json"),
            )
            for name, alert in zip(names, standing, strict=True)
            if name not in told and (before is None or alert.timestamp >= datetime.fromisoformat(before))
        ]
        return found, cursor.model_copy(update={"alerts": tuple(names), "alerts_before": before})


async def _groups(events: AsyncIterator[CloudEvent]) -> AsyncIterator[list[CloudEvent]]:
    group: list[CloudEvent] = []
    async for event in events:
        group.append(event)
        if len(group) == _TOGETHER:
            yield group
            group = []
    if group:
        yield group
