"""What each job of a run asks of the Hub: the few words of a policy that travel with every batch."""

from datetime import timedelta

from pydantic import JsonValue

from workflows.payload import Payload
from workflows.policy import Policy

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


def order_of(policy: Policy) -> JobOrder:
    """Take out of a policy what its jobs need; what the Hub discovers by itself cannot be looked at before."""
    run, discovery = policy.run, policy.select.source.discovery
    return JobOrder(
        site=policy.one_site,
        workflow=run.hub_workflow,
        fields=run.fields,
        queue=run.queue,
        discovery=discovery,
        compare=run.recheck.compare if run.recheck is not None and discovery is None else (),
        verify=run.verify == "status",
        resubmit=policy.retry.resubmit == "job",
        job_timeout=run.job_timeout,
        stall_after=run.stall_after,
        listed=policy.select.source.manifest is not None,
    )
