"""What each job of a run asks of the Hub: the few words of a policy that travel with every batch."""

from datetime import timedelta

from pydantic import JsonValue

from workflows.payload import Payload
from workflows.policy import Policy, Recheck

THERE_ALREADY = {"migrate": ("migrated",), "premigrate": ("premigrated", "migrated"), "recall": ("resident",)}
"""Where a file is with which a hub workflow has nothing left to do."""


class JobOrder(Payload):
    """The hub workflow and its bounds; `compare` names what the re-check compares, nothing for none.

    `listed` tells that the plan was made from a list of paths: the Hub was not asked whether they exist.
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
        listed=policy.select.source.manifest is not None and not any(step.workflow for step in before),
    )
