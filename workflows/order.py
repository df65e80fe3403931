"""What each job of a run asks of the Hub: the few words of a policy that travel with every batch."""

from datetime import timedelta

from pydantic import JsonValue

from workflows.payload import Payload
from workflows.policy import Policy, Recheck, Stage

THERE_ALREADY = {"migrate": ("migrated",), "premigrate": ("premigrated", "migrated"), "recall": ("resident",)}
"""Where a file is with which a hub workflow has nothing left to do."""


class JobOrder(Payload):
    """The hub workflow and its bounds; `compare` names what the re-check compares, nothing for none.

    `listed` tells that the plan was made from a list of paths: the Hub was not asked whether they exist. `target` is
    where the files go, by the name that limits know it by.
    """

    site: str
    workflow: str
    fields: dict[str, JsonValue]
    queue: str
    discovery: str | None
    compare: tuple[str, ...]
    verify: bool
    resubmit: bool
    job_timeout: timedelta
    stall_after: timedelta | None
    listed: bool = False
    target: str | None = None


def order_of(policy: Policy, number: int = 1) -> JobOrder:
    """Take out of a policy what the jobs of a stage need; what the Hub discovers by itself cannot be looked at before.

    Behind a wait with `unless_changed` the files are looked at also where the policy rechecks nothing else.
    """
    run, discovery = policy.run, policy.select.source.discovery
    stage, before = run.steps[number - 1], run.steps[: number - 1]
    recheck = run.recheck or (Recheck() if before and before[-1].unless_changed else None)
    return JobOrder(
        site=policy.one_site,
        workflow=stage.workflow or run.hub_workflow,
        fields=stage.fields,
        queue=stage.queue or run.queue,
        discovery=discovery,
        compare=recheck.compare if recheck is not None and discovery is None else (),
        verify=run.verify == "status",
        resubmit=policy.retry.resubmit == "job",
        job_timeout=run.job_timeout,
        stall_after=run.stall_after,
        target=target_of(policy, stage),
        listed=policy.select.source.manifest is not None and not any(step.workflow for step in before),
    )


def target_of(policy: Policy, stage: Stage) -> str | None:
    """Name where the files of a stage go: as the policy says, else the site that they are sent to or a drain's pool."""
    other = stage.fields.get("destinationsite")
    pools = [trigger.threshold.destination_pool for trigger in policy.triggers if trigger.threshold is not None]
    named = (policy.run.target, other if isinstance(other, str) else None, *pools)
    return next((name for name in named if name), None)
