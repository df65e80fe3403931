"""Whether the schedules go on: their calendars reach far enough, and the keeper that renews them looks at them."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities import schedules
from orchestrator.health import Finding, Health
from orchestrator.settings import Settings
from orchestrator.temporal import TemporalUnreachable, connect
from workflows.ids import keeper_id

OVERDUE = schedules.RENEW_WITHIN - timedelta(days=5)
"""Calendars that end sooner than this should have been renewed days ago."""


async def schedules_go_on(settings: Settings) -> Finding | None:
    """Look at the calendars of all schedules; nothing to say where there are none, or no Temporal answers."""
    try:
        client = await connect(settings, within=5)
        now = datetime.now(UTC)
        found = [one async for one in schedules.find(client, settings.task_queue, compare=False)]
        if not found:
            return None
        overdue = [one.id for one in found if one.until is not None and one.until - now < OVERDUE]
        if overdue:
            advice = "Start a worker, and look into its log: without it these schedules end."
            return Finding("Schedules", Health.FAIL, f"{len(overdue)} are not renewed, such as {overdue[0]}", advice)
        if not await _keeper_runs(client, settings):
            return Finding("Schedules", Health.FAIL, "nothing renews them", "`orchestrator apply` starts the keeper.")
    except (TemporalUnreachable, RPCError):
        return None
    ends = [one.until for one in found if one.until is not None]
    reach = f", known to the engine until {min(ends):%Y-%m-%d} or longer" if ends else ""
    return Finding("Schedules", Health.OK, f"{len(found)}{reach}")


async def _keeper_runs(client: Client, settings: Settings) -> bool:
    try:
        described = await client.get_workflow_handle(keeper_id(settings.task_queue)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return described.status is WorkflowExecutionStatus.RUNNING
