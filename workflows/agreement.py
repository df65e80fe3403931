"""Whether a person must agree to a plan, and whether a person's word on it can be taken: plain answers."""

from datetime import datetime
from typing import Final

from workflows.approving import Auto, is_destructive
from workflows.plan import Plan
from workflows.policy import Policy
from workflows.run import ApprovalWanted, Decision

SHORTEST_DIGEST: Final = 12
"""Characters of a digest that name a plan well enough."""


def approval_reason(policy: Policy, plan: Plan, excess: str | None) -> str | None:
    """Say why a person must agree to the plan; None when nobody needs to.

    `excess` is the guard that the plan breaks where the policy asks; an empty plan moves nothing and needs nobody.
    """
    if not plan.files:
        return None
    if excess is not None:
        return excess
    if policy.approval.required == "always":
        return "approval.required is always"
    first = policy.run.steps[0]
    if first.approval == "always":
        return f"run.stages: approval of stage 1 ({first.workflow}) is always"
    # A later stage that asks by itself does so when it comes, of the files that are left then.
    asked = [step for step in policy.run.steps if step is first or step.approval in (None, "never")]
    destructive = [step.workflow for step in asked if step.workflow and is_destructive(step.workflow)]
    if policy.approval.required == "never" or not destructive:
        return None
    return f"the hub workflow {destructive[0]} deletes data"


def wanted_of(
    policy: Policy, owner: str, now: datetime, *, digest: str, files: int, size: int, why: str
) -> ApprovalWanted:
    """Say what a person is to agree to, for whom it is not, and until when there is time."""
    approval = policy.approval
    return ApprovalWanted(
        digest=digest,
        files=files,
        bytes=size,
        why=why,
        since=now,
        expires=now + approval.expires,
        not_by=owner if approval.not_by_owner else None,
    )


def approves_itself(auto: Auto | None, plan: Plan) -> bool:
    """Tell whether the plan stays inside the bounds in which the policy approves it by itself."""
    if auto is None or auto == Auto():
        return False
    if auto.max_files is not None and plan.files > auto.max_files:
        return False
    if auto.max_bytes is not None and plan.bytes > auto.max_bytes:
        return False
    if auto.max_percent_of_scope is None:
        return True
    shares = ((plan.files, plan.scope_files), (plan.bytes, plan.scope_bytes))
    return all(part * 100 <= auto.max_percent_of_scope * whole for part, whole in shares)


def objection(wanted: ApprovalWanted | None, decision: Decision) -> str | None:
    """Say why a person's word on a plan cannot be taken; None when it can."""
    if wanted is None:
        return "it waits for no approval"
    if len(decision.digest) < SHORTEST_DIGEST or not wanted.digest.startswith(decision.digest.lower()):
        return f"its plan is {wanted.digest}, not {decision.digest or 'without a digest'}: look at the plan again"
    if decision.approved and wanted.not_by is not None and _person(wanted.not_by) == _person(decision.actor):
        return (
            f"{wanted.not_by} started it, and the policy wants another person's word (approval.not_by_owner): "
            "ask a colleague"
        )
    return None


def _person(actor: str) -> str:
    """Whoever gives commands on two machines is one person."""
    return actor.partition("@")[0].lower()
