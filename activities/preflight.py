"""Looks at everything that a run needs of the Hub before anything is listed or moved."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.audit import Audit, AuditRecord, record_key
from activities.errors import HubError, as_application_error
from activities.hub import queues, sites, workflows
from activities.hub.client import Hub
from workflows.payload import Payload
from workflows.units import advice

QUEUE_ALIVE = timedelta(minutes=15)
"""A queue whose last heartbeat is older than this has nobody who works on it."""


class PreflightRequest(Payload):
    """What a policy counts on."""

    run: str
    site: str
    workflow: str
    queue: str


class Finding(Payload):
    """One thing that was looked at; `problem` says what is wrong with it and what to do."""

    name: str
    seen: str
    problem: str | None = None


@dataclass
class Preflight:
    """The activity; `findings` is the same look without Temporal."""

    hub: Hub
    audit: Audit

    @activity.defn
    async def check_hub(self, request: PreflightRequest) -> tuple[Finding, ...]:
        """Pass when nothing is wrong; else fail once and for all, naming all problems."""
        try:
            found = await findings(self.hub, request)
        except HubError as error:
            raise as_application_error(error) from error
        problems = [finding.problem for finding in found if finding.problem]
        body = {"ok": not problems, "checks": {finding.name: finding.problem or finding.seen for finding in found}}
        await self.audit.write(
            AuditRecord(
                event="run.preflight",
                actor="engine",
                run=request.run,
                key=record_key(request.run, "run.preflight"),
                body=body,
            )
        )
        if problems:
            raise ApplicationError("; ".join(problems), type="NotReady", non_retryable=True)
        return tuple(found)


async def findings(hub: Hub, request: PreflightRequest) -> list[Finding]:
    """Look at the site, the hub workflow and the queue; raises what the Hub client raises."""
    return [
        await _site(hub, request.site),
        await _workflow(hub, request.workflow),
        await _queue(hub, request.site, request.queue),
    ]


async def _site(hub: Hub, name: str) -> Finding:
    known = {site.name: site async for site in sites.sites(hub)}
    site = known.get(name)
    if site is None:
        return Finding(
            name="site", seen=", ".join(known), problem=f"the Hub has no site {name}: {advice(name, sorted(known))}"
        )
    health = await sites.health(hub, site.id)
    if not health.healthy:
        return Finding(name="site", seen=name, problem=f"site {name} is not healthy: {health.error}")
    return Finding(name="site", seen=f"{name} is healthy")


async def _workflow(hub: Hub, name: str) -> Finding:
    known = {one.name: one async for one in workflows.workflows(hub)}
    one = known.get(name)
    if one is None:
        problem = f"the Hub has no workflow {name}: {advice(name, sorted(known))}"
        return Finding(name="workflow", seen=", ".join(known), problem=problem)
    if one.enabled is False:
        return Finding(name="workflow", seen=name, problem=f"the Hub's workflow {name} is disabled")
    if one.schedule_only:
        return Finding(name="workflow", seen=name, problem=f"the Hub's workflow {name} runs only in hub schedules")
    return Finding(name="workflow", seen=f"{name} is enabled")


async def _queue(hub: Hub, site: str, name: str) -> Finding:
    there = [queue async for queue in queues.queues(hub) if queue.site in (None, site)]
    known = [queue for queue in there if queue.name == name]
    if not known:
        others = sorted({queue.name for queue in there})
        problem = f"site {site} has no queue {name}" + (f": {advice(name, others)}" if others else ", nor any other")
        return Finding(name="queue", seen="", problem=problem)
    beats = [queue.last_heartbeat for queue in known if queue.last_heartbeat is not None]
    if beats and datetime.now(UTC) - max(beats) > QUEUE_ALIVE:
        problem = f"queue {name} was last heard of at {max(beats):%Y-%m-%d %H:%M} UTC: start its workers"
        return Finding(name="queue", seen=name, problem=problem)
    return Finding(name="queue", seen=f"{name} is alive")
