"""Routes: which events start which policy. Plain rules over plain values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from workflows.events import RUN_ENDED, CloudEvent
from workflows.payload import Payload
from workflows.policy import Policy


class Route(Payload):
    """One `event:` or `after:` trigger of a policy; every field that `where` names must have one of its values."""

    trigger: int
    kind: Literal["event", "after"]
    type: str
    where: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    settle: timedelta = timedelta(0)
    text: str


class PolicyRoutes(Payload):
    """All routes of one applied policy; the policy itself lies in the storage under its digest."""

    policy: str
    version: int
    digest: str
    sites: tuple[str, ...]
    routes: tuple[Route, ...]


class Matched(Payload):
    """A route that wants an event, by the version of its policy and its place in it, as they were at that moment."""

    policy: str
    trigger: int
    version: int = 0
    digest: str = ""


def table_of(policy: Policy, version: int, *, trigger: int | None = None) -> PolicyRoutes:
    """Give the routes of an applied policy, all of them or the one of a trigger."""
    routes = tuple(one for one in routes_of(policy) if trigger in (None, one.trigger))
    return PolicyRoutes(
        policy=policy.name, version=version, digest=policy.digest, sites=policy.all_sites, routes=routes
    )


def routes_of(policy: Policy) -> tuple[Route, ...]:
    """Give the routes that a policy's triggers ask for."""
    found = []
    for number, trigger in enumerate(policy.triggers):
        if (event := trigger.event) is not None:
            fields = ", ".join(f"{name}: {_words(values)}" for name, values in event.where.items())
            text = f"event {event.type}" + (f" where {fields}" if fields else "")
            found.append(
                Route(trigger=number, kind="event", type=event.type, where=event.where, settle=event.settle, text=text)
            )
        elif (after := trigger.after) is not None:
            where: dict[str, tuple[Any, ...]] = {"policy": (after.policy,)}
            if after.state != "any":
                where["state"] = (after.state,)
            text = f"after {after.policy} {'ended' if after.state == 'any' else after.state}"
            found.append(Route(trigger=number, kind="after", type=RUN_ENDED, where=where, text=text))
    return tuple(found)


def wants(route: Route, event: CloudEvent) -> bool:
    """Tell whether a route wants an event."""
    return route.type == event.type and all(
        any(equal(value, found) for value in values for found in _fields(event, name))
        for name, values in route.where.items()
    )


def sites_for(routes: PolicyRoutes, route: Route, event: CloudEvent) -> tuple[str, ...]:
    """Give the sites at which the policy starts: a chain stays at the site of its run where the policy has it."""
    site = event.data.get("site") if route.kind == "after" and isinstance(event.data, Mapping) else None
    return (site,) if site in routes.sites else routes.sites


def equal(wanted: Any, found: Any) -> bool:
    """Compare a value of a policy with one of an event: 5 equals "5" and 5.0, true equals "true", text is exact."""
    if isinstance(found, list):
        return any(equal(wanted, one) for one in found)
    if isinstance(wanted, bool) or isinstance(found, bool):
        return _as_truth(wanted) is not None and _as_truth(wanted) == _as_truth(found)
    if isinstance(wanted, int | float) or isinstance(found, int | float):
        return _as_number(wanted) is not None and _as_number(wanted) == _as_number(found)
    return bool(wanted == found)


def _fields(event: CloudEvent, name: str) -> list[Any]:
    """Look a name up in the data first, also with its dots as a way into it, then among the attributes."""
    way = name.split(".")
    for start in (way, way[1:] if way[0] == "data" and len(way) > 1 else way):
        found = _reach(event.data, start)
        if found is not None:
            return [found]
    attributes = {"id": event.id, "source": event.source, "subject": event.subject, "time": event.time}
    found = {**event.attributes, **attributes}.get(name)
    return [] if found is None else [found]


def _reach(data: Any, way: list[str]) -> Any:
    if not isinstance(data, Mapping):
        return None
    whole = ".".join(way)
    if whole in data:
        return data[whole]
    return _reach(data.get(way[0]), way[1:]) if len(way) > 1 else None


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    try:
        return int(value)
    except (TypeError, ValueError):
        pass
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _as_truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _words(values: tuple[Any, ...]) -> str:
    shown = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
