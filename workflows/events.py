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


class HubCursor(Payload):
    """How far the Hub was followed: the alerts that stood, the finished jobs that were told, and since when to ask."""

    alerts: tuple[str, ...] = ()
    jobs: tuple[int, ...] = ()
    since: str | None = None


class Telling(Payload):
    """Some events that travel together; the follower of the Hub says with them how far it came."""

    events: tuple[CloudEvent, ...]
    cursor: HubCursor | None = None
