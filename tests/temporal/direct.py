"""Starts a run without a desk, for the server that skips time: what a desk waits for would hold its clock."""

from datetime import UTC, datetime

from temporalio.client import Client

from orchestrator.runs import new_run_name
from orchestrator.settings import Settings
from workflows.policy import Policy
from workflows.run import RunRequest
from workflows.run_policy import RunPolicy


async def start_alone(client: Client, settings: Settings, policy: Policy) -> str:
    run = new_run_name(policy.name, datetime.now(UTC))
    request = RunRequest(run=run, policy=policy, actor="ann", reason="a test")
    await client.start_workflow(RunPolicy.run, request, id=run, task_queue=settings.task_queue)
    return run
