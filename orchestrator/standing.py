"""Where a plan stands: what a run would do with it before anything moves, by the run's own rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.agreement import approval_reason, approves_itself
from workflows.control import excess, stale
from workflows.plan import Plan, UsualPlan
from workflows.policy import Policy


@dataclass(frozen=True)
class Standing:
    """Whether a run of this plan is refused or goes on, or asks a person (`asks` says why).

    `exceeded` is the guard on size that the plan breaks, whatever the policy does then; `asks_nobody` tells that the
    policy agrees by itself.
    """

    refused_by: str | None
    exceeded: str | None
    asks: str | None
    asks_nobody: bool
    expires: timedelta
    not_by_owner: bool
    enabled: bool


def standing(policy: Policy, plan: Plan, usual: UsualPlan | None, now: datetime) -> Standing:
    """Meet the guards and the approval as a run does."""
    guards, approval = policy.guards, policy.approval
    over = excess(plan, guards, usual)
    asked = over if guards.on_exceed == "ask" else None
    why = approval_reason(policy, plan, asked)
    return Standing(
        refused_by=(None if asked else over) or stale(plan, guards, now_us=round(now.timestamp() * 1_000_000)),
        exceeded=over,
        asks=why,
        asks_nobody=why is not None and asked is None and approves_itself(approval.auto, plan),
        expires=approval.expires,
        not_by_owner=approval.not_by_owner,
        enabled=policy.enabled,
    )
