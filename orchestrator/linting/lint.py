"""The lint of one policy, by itself and among its neighbours."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from orchestrator.linting.clocks import clock_findings
from orchestrator.linting.finding import Finding
from orchestrator.linting.neighbours import neighbour_findings
from orchestrator.linting.pools import pool_findings
from orchestrator.linting.safety import safety_findings
from orchestrator.linting.selection import selection_findings
from workflows.policy import Policy

__all__ = ["lint_catalog", "lint_policy"]


def lint_policy(policy: Policy, form: Any, today: date) -> tuple[Finding, ...]:
    """Find what is wrong, or probably so, in a valid policy, given its written form and the day."""
    return (
        *selection_findings(policy.select, form["select"]),
        *safety_findings(policy),
        *clock_findings(policy, today),
    )


def lint_catalog(policies: Mapping[str, Policy], *, complete: bool) -> dict[str, tuple[Finding, ...]]:
    """Find what is wrong between policies, by name; `complete`: no other policy is in their catalog."""
    return {
        name: (*neighbour_findings(policy, policies, complete=complete), *pool_findings(policy, policies))
        for name, policy in policies.items()
    }
