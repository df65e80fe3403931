"""Events: something that happened elsewhere, as CloudEvents 1.0 tells of it; source and id together say which one."""

from hashlib import sha256
from typing import Any

from pydantic import Field

from workflows.payload import Payload

OURS = "orchestrator"
"""The source of our own events; no other sender may use it, nor one that begins with `hub/`."""

RUN_ENDED = "orchestrator.run"
HUB_ALERT = "hub.alert"
HUB_JOB = "hub.job"
WEBHOOK = "webhook"

KEPT_ELSEWHERE = (RUN_ENDED, HUB_JOB)
"""Of these only those that a route wants are heard: the audit and the Hub keep all of them already."""

LARGEST_EVENT = 64 * 1024
MOST_TOGETHER = 256 * 1024
"""Bytes of one event, and of those that travel to the router together."""

LONG_HISTORY = 4_000
LONG_HISTORY_BYTES = 4 << 20
"""From here on the router takes a fresh history as soon as it may, whatever the server suggests."""

FULL_HISTORY = 5_000
FULL_HISTORY_BYTES = 8 << 20
"""From here on nothing more is told to the router until it has taken a fresh history: so much waits for it, or so fast
do events come, that it finds no moment to take one. The server ends a workflow of 50 MiB or 51,200 events."""

LONGEST_NAME = 256
_LONGEST_KEY = 480


class CloudEvent(Payload):
    """One event; `attributes` are its extensions, `data` is any JSON."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    data: Any = None

    @property
    def key(self) -> str:
        """Give the audit's key: the same for every delivery of this event, and of no other one."""
        encoded = self.id.replace("%", "%25").replace("/", "%2F")
        key = f"event/{self.source}/{encoded}"
        return key if len(key) <= _LONGEST_KEY else f"event/sha256/{sha256(key.encode()).hexdigest()}"

    @property
    def text(self) -> str:
        """Name it in words."""
        return f"{self.type} {self.id} of {self.source}"


class OpenJob(Payload):
    """A job of the Hub that has not ended yet, as the list of jobs showed it."""

    id: int
    site: str | None = None
    workflow: str | None = None
    queue: str | None = None
    created: str | None = None


class HubCursor(Payload):
    """How far the Hub was followed.

    `alerts` stand and were told; what was raised `alerts_before` counts as told too. Jobs are
    listed that were made `since`; of those `jobs` are known. Jobs that have not ended are in `open`. Following jobs
    `began` at a moment from which on their ends are news.
    """

    alerts: tuple[str, ...] = ()
    alerts_before: str | None = None
    jobs: tuple[int, ...] = ()
    since: str | None = None
    open: tuple[OpenJob, ...] = ()
    began: str | None = None

    def without_jobs(self) -> "HubCursor":
        """Forget how far jobs were followed: nobody wants them any more, and what ends meanwhile will be no news."""
        return HubCursor(alerts=self.alerts, alerts_before=self.alerts_before)


class Telling(Payload):
    """Some events that travel together; the follower of the Hub says with the last of a look how far it came."""

    events: tuple[CloudEvent, ...]
    cursor: HubCursor | None = None
