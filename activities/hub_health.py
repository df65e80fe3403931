"""Follows whether the Hub is fit for a run while that is open: its site, its hub workflow, its queue."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.errors import HubError
from activities.heartbeat import beating
from activities.hub.client import Hub
from activities.preflight import PreflightRequest, findings
from workflows.payload import Payload

LOOK_EVERY = 30.0
"""Seconds between two looks; a run does not wait for the news of an ill that is over in less."""
BELIEVED_AFTER = 2
"""So many looks in a row must find the same."""


class HealthRequest(Payload):
    """What a run counts on, and whether it was there when the run looked last."""

    needs: tuple[PreflightRequest, ...]
    was_well: bool


class HubState(Payload):
    """What has become of it; `why` says what is missing and what to do."""

    well: bool
    why: str = ""


@dataclass
class HubHealth:
    """The activity; one instance serves a worker."""

    hub: Hub

    @activity.defn
    async def watch_health(self, request: HealthRequest) -> HubState:
        """Return when the Hub is otherwise than it was; one that does not answer is away, which is no news here."""
        seen = 0
        async with beating(lambda: None):
            while True:
                state = await self._look(request.needs)
                seen = seen + 1 if state is not None and state.well != request.was_well else 0
                if state is not None and seen >= BELIEVED_AFTER:
                    return state
                await asyncio.sleep(LOOK_EVERY)

    async def _look(self, needs: tuple[PreflightRequest, ...]) -> HubState | None:
        try:
            found = [finding.problem for one in needs for finding in await findings(self.hub, one)]
        except HubError:
            return None
        problems = list(dict.fromkeys(problem for problem in found if problem))
        return HubState(well=not problems, why="; ".join(problems))
