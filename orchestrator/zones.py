"""Time zones of this machine: whether the zones that a policy names exist, asked where the list of them can be read."""

from collections.abc import Iterator
from functools import cache
from zoneinfo import available_timezones

from workflows.policy import Policy
from workflows.units import Mistake, advice, shown


def zone_mistakes(policy: Policy) -> Iterator[Mistake]:
    """Find the zones of a policy that do not exist."""
    for index, trigger in enumerate(policy.triggers):
        if trigger.schedule is not None:
            yield from _mistake(trigger.schedule.timezone, ("triggers", index, "schedule", "timezone"))
    for index, window in enumerate(policy.run.windows):
        yield from _mistake(window.timezone, ("run", "windows", index, "timezone"))


def _mistake(zone: str, where: tuple[str | int, ...]) -> Iterator[Mistake]:
    if zone == "UTC" or zone in _zones():
        return
    folded = {known.lower(): known for known in _zones()}
    near = folded.get(zone.lower())
    if near is None:
        cities = {known.rpartition("/")[2].lower(): known for known in sorted(_zones())}
        near = cities.get(zone.rpartition("/")[2].lower())
    said = f"did you mean `{near}`?" if near else advice(zone, sorted(_zones())) if _close(zone) else _EXAMPLE
    yield Mistake(where, f"there is no time zone {shown(zone)}: {said}")


_EXAMPLE = "write one such as Europe/London, or UTC"


def _close(zone: str) -> bool:
    return "did you mean" in advice(zone, sorted(_zones()))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
