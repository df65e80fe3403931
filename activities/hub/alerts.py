"""What the Hub warns about."""

from collections.abc import AsyncIterator

from activities.hub.client import Hub
from activities.hub.reading import MaybeMoment, Moment, Record, Reference, read
from activities.hub.wire import filled


class Alert(Record):
    """A warning of the Hub about a site, node or queue."""

    id: int
    name: str
    severity: str
    timestamp: Moment
    created: MaybeMoment = None
    site: Reference = None
    node: Reference = None
    queue: Reference = None
    summary: str | None = None
    suppressed: bool | None = None


async def alerts(hub: Hub, *, site: str | None = None, severity: str | None = None) -> AsyncIterator[Alert]:
    """All alerts, or those of a site or severity; the Hub gives them as a bare list."""
    async for alert in hub.items("/alerts/", {"site": site, "severity": severity}, Alert):
        yield alert


async def one(hub: Hub, alert: int) -> Alert:
    """One alert. Raises NotFound."""
    path = filled("/alerts/{id}/", id=alert)
    return read(Alert, await hub.get(path), f"GET {path}")
