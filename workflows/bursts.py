"""A burst: equal events that start one run together, and what the router remembers of it until it begins."""

from collections.abc import Sequence
from datetime import datetime

from workflows.events import MOST_TOGETHER, CloudEvent, HubCursor
from workflows.payload import Payload
from workflows.routes import Matched, PolicyRoutes, Route, sites_for

MOST_AT_ONCE = 100
"""So many events are heard with one commit of the audit."""

MOST_BEGUN = 20
"""So many bursts are handed over together."""


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
    """Whether this is the first telling of an event, and which routes it goes.

    `former` are those of them that were not told this time: the event was written before, while other routes stood.
    """

    first: bool
    matched: tuple[Matched, ...] = ()
    former: tuple[PolicyRoutes, ...] = ()


class RouterState(Payload):
    """What a router hands to itself when it goes on with a fresh history.

    `taken` counts the events it has heard; `dropped` are bursts whose policy lost its routes: still to be told.
    """

    tables: tuple[PolicyRoutes, ...] = ()
    bursts: tuple[Burst, ...] = ()
    arrived: tuple[CloudEvent, ...] = ()
    cursor: HubCursor = HubCursor()
    taken: int = 0
    dropped: tuple[Burst, ...] = ()


class RouterStatus(Payload):
    """The routes of every policy, the bursts that settle, and how many events wait to be heard."""

    tables: tuple[PolicyRoutes, ...] = ()
    bursts: tuple[Burst, ...] = ()
    waiting: int = 0
    trouble: str | None = None


def joined(
    bursts: Sequence[Burst], table: PolicyRoutes, route: Route, event: CloudEvent, now: datetime
) -> tuple[Burst, ...]:
    """Add an event to the burst that its route has open at the same sites, else let it begin one.

    The first event sets the end: a stream that never stops starts a run every `settle`, and never none. What comes
    late, before the run was handed over, belongs to it still. Without `settle` each event is a burst of its own.
    """
    sites = sites_for(table, route, event)
    if route.settle:
        for place, one in enumerate(bursts):
            if (one.policy, one.route, one.sites) == (table.policy, route, sites):
                return (*bursts[:place], one.model_copy(update={"count": one.count + 1}), *bursts[place + 1 :])
    begun = Burst(
        policy=table.policy,
        version=table.version,
        digest=table.digest,
        sites=sites,
        route=route,
        first=event.key,
        first_text=event.text,
        count=1,
        due=now + route.settle,
    )
    return (*bursts, begun)


def settled(bursts: Sequence[Burst], now: datetime) -> list[Burst]:
    """Give some bursts whose time has come, those first that are due first."""
    return sorted((one for one in bursts if one.due <= now), key=lambda one: one.due)[:MOST_BEGUN]


def handful(arrived: Sequence[CloudEvent]) -> int:
    """Tell how many of the first events are heard together: so many, and so many bytes, but one at least."""
    return max(1, _fit(arrived[:MOST_AT_ONCE], MOST_TOGETHER))


def may_travel(arrived: Sequence[CloudEvent]) -> bool:
    """Tell whether events that are not heard yet fit into the value that a router hands to itself."""
    return len(arrived) <= MOST_AT_ONCE and _fit(arrived, MOST_TOGETHER) == len(arrived)


def _fit(events: Sequence[CloudEvent], room: int) -> int:
    for count, event in enumerate(events):
        room -= len(event.model_dump_json().encode())
        if room < 0:
            return count
    return len(events)
