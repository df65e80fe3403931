"""Lint of thresholds between the policies of one catalog: one pool has one name."""

from collections.abc import Iterator, Mapping

from orchestrator.linting.finding import Finding, Severity
from workflows.policy import Policy
from workflows.triggers import Threshold
from workflows.units import shown


def pool_findings(policy: Policy, catalog: Mapping[str, Policy]) -> Iterator[Finding]:
    """Find pools that one policy names with their file system and another one without: they would be drained twice."""
    if not policy.enabled:
        return
    for index, trigger in enumerate(policy.triggers):
        mark = trigger.threshold
        if mark is None:
            continue
        for other in sorted([policy, *(one for one in catalog.values() if one.name != policy.name)], key=_name):
            if (site := _two_names(policy, mark, other)) is not None:
                where = ("triggers", index, "threshold", "pool")
                here, there = ("without", "with") if mark.filesystem is None else ("with", "without")
                text = (
                    f"this names pool {shown(mark.pool)} of {site} {here} its `filesystem`, and policy `{other.name}` "
                    f"{there} it: two watchers would drain one pool; name the file system in all of them, or in none"
                )
                yield Finding("pool-with-two-names", where, text, Severity.ERROR)
                break


def _two_names(policy: Policy, mark: Threshold, other: Policy) -> str | None:
    """Give a site at which another policy names the same pool in the other way."""
    if not other.enabled:
        return None
    marks = [trigger.threshold for trigger in other.triggers if trigger.threshold is not None]
    if not any(one.pool == mark.pool and (one.filesystem is None) is not (mark.filesystem is None) for one in marks):
        return None
    return next((site for site in policy.all_sites if site in other.all_sites), None)


def _name(policy: Policy) -> str:
    return policy.name
