"""Lint between the policies of one catalog: what starts after what."""

from collections.abc import Iterator, Mapping

from orchestrator.linting.finding import Finding, Severity
from workflows.policy import Policy
from workflows.units import advice, shown


def neighbour_findings(policy: Policy, catalog: Mapping[str, Policy], *, complete: bool) -> Iterator[Finding]:
    """Find `after` triggers that never fire, or that go in a circle; `complete`: the catalog has every policy."""
    for index, trigger in enumerate(policy.triggers):
        if trigger.after is None:
            continue
        name, where = trigger.after.policy, ("triggers", index, "after", "policy")
        if name not in catalog:
            if complete:
                known = advice(name, sorted(set(catalog) - {policy.name}))
                text = f"there is no policy {shown(name)} in this catalog, so this never starts: {known}"
                yield Finding("after-nothing", where, text)
        elif not catalog[name].enabled:
            text = f"the policy `{name}` is disabled, so this never starts: enable it, or leave this trigger out"
            yield Finding("after-disabled", where, text)
        elif policy.enabled and (circle := _circle(policy.name, name, catalog)):
            text = f"the policies start each other without end ({' -> '.join(circle)}): break the circle"
            yield Finding("after-circle", where, text, Severity.ERROR)


def _circle(start: str, after: str, catalog: Mapping[str, Policy]) -> list[str] | None:
    """Follow `after` upwards from a policy; give the way back to it, each name followed by the one it starts."""
    came: dict[str, str] = {after: start}
    waiting = [after]
    while waiting:
        name = waiting.pop()
        for above in _after(catalog.get(name)):
            if above == start:
                circle, step = [start], name
                while step != start:
                    circle.append(step)
                    step = came[step]
                return [*circle, start]
            if above not in came:
                came[above] = name
                waiting.append(above)
    return None


def _after(policy: Policy | None) -> list[str]:
    if policy is None or not policy.enabled:
        return []
    return [trigger.after.policy for trigger in policy.triggers if trigger.after is not None]
