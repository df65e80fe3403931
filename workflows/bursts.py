"""A burst: equal events that start one run together, and what the router remembers of it until it begins."""

from datetime import datetime

from workflows.events import CloudEvent, HubCursor
from workflows.payload import Payload
from workflows.routes import Matched, PolicyRoutes, Route


class Burst(Payload):
    """Events of one route from the first one on; the run begins at `due`, `settle` after the first."""

    policy: str
    version: int
    digest: str
    sites: tuple[str, ...]
    route: Route
    first: str
    first_text: str
    count: int
    due: datetime

    @property
    def text(self) -> str:
        """Say which events these are."""
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"{self.route.text}: {self.first_text}{more}"

    def key_at(self, site: str) -> str:
        """Give the key of the start that this burst is at a site."""
        return f"{self.policy}/{site}/{self.route.kind}-{self.route.trigger}/{self.first}"


class ToldEvent(Payload):
    """An event as the router heard it, and the routes that want it; `token` is of this one telling."""

    event: CloudEvent
    matched: tuple[Matched, ...]
    token: str


class HeardEvent(Payload):
    """Whether this is the first telling of an event, and which routes it goes."""

    first: bool
    matched: tuple[Matched, ...] = ()


class RouterState(Payload):
    """What a router hands to itself when it goes on with a fresh history."""

    tables: tuple[PolicyRoutes, ...] = ()
    bursts: tuple[Burst, ...] = ()
    arrived: tuple[CloudEvent, ...] = ()
    cursor: HubCursor = HubCursor()


class RouterStatus(Payload):
    """The routes of every policy, the bursts that settle, and how many events wait to be heard."""

    tables: tuple[PolicyRoutes, ...] = ()
    bursts: tuple[Burst, ...] = ()
    waiting: int = 0
    trouble: str | None = None
