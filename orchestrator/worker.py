"""A worker: runs workflows and activities for one task queue until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from activities.apart import Apart
from activities.applied_policies import AppliedPolicies
from activities.audit import Audit, AuditLog
from activities.checkpointing import Checkpointing
from activities.claiming import Claiming
from activities.claims import Claims
from activities.events import Events
from activities.forgiving import Forgiving
from activities.holds import Holds
from activities.hub.client import Hub
from activities.hub_events import HubEvents
from activities.hub_health import HubHealth
from activities.inventory import Inventories
from activities.jobs import Jobs
from activities.limits import JobLimits
from activities.notices.notifier import Notifier
from activities.notices.outbox import Outbox
from activities.open_times import WindowTimes
from activities.outcomes import Outcomes
from activities.plan_checks import PlanChecks
from activities.poller import JobPoller
from activities.pool_board import Measured, PoolBoard
from activities.pool_samples import PoolSamples
from activities.preflight import Preflight
from activities.quarantine import Quarantine
from activities.quarantining import Quarantining
from activities.reconciling import Reconciliation
from activities.retried import Retried
from activities.schedule_keeper import ScheduleKeeper
from activities.selection import Plans
from activities.starting import Starts
from activities.storage import open_storage
from activities.submit import Submits
from activities.watching_pools import PoolWatching
from orchestrator.deployment import deployment, make_current
from orchestrator.hub import open_hub
from orchestrator.notify_file import load_targets
from orchestrator.observing.activities import Observed
from orchestrator.observing.tracing import worker_interceptors
from orchestrator.settings import Settings
from workflows.fire import Fire
from workflows.keep_schedules import KeepSchedules
from workflows.route_event import RouteEvents
from workflows.run_batches import RunBatches
from workflows.run_desk import RunDesk
from workflows.run_policy import RunPolicy
from workflows.watch_pool import WatchPool

WORKFLOWS: Sequence[type] = (RunPolicy, RunBatches, RunDesk, RouteEvents, Fire, KeepSchedules, WatchPool)


class Limits(TypedDict):
    """What heavy work may take of this machine."""

    memory_limit: int
    temp_dir: Path


HEARD_WITHIN = timedelta(seconds=2)
"""Heartbeats are passed on at least this often, so that a cancellation is heard in seconds."""

RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_import_notification_policy(
        SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
        | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
    )
)


@asynccontextmanager
async def working(settings: Settings, client: Client, *, versioned: bool = True) -> AsyncIterator[Worker]:
    """Work for as long as the block lasts; what is under way at its end is handed to the next worker.

    Unversioned is for servers without worker deployments, such as the time-skipping test server.
    """
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(open_hub(settings))
        log = AuditLog(settings.audit.get_secret_value())
        stack.callback(log.close)
        audit = Audit(log)
        if settings.signing_key is not None:
            checkpointing = Checkpointing(open_storage(settings.storage), settings.signing_key)
            stack.push_async_callback(checkpointing.finish)
            audit = Audit(log, checkpointing)
        claims = Claims(settings.claims.get_secret_value())
        stack.callback(claims.close)
        samples = PoolSamples(settings.samples.get_secret_value())
        stack.callback(samples.close)
        quarantine = Quarantine(settings.quarantine.get_secret_value())
        stack.callback(quarantine.close)
        targets = await asyncio.to_thread(load_targets, settings)
        outbox = Outbox(settings.notices.get_secret_value())
        stack.callback(outbox.close)
        version = deployment(settings.task_queue)
        worker = Worker(
            client,
            task_queue=settings.task_queue,
            workflows=WORKFLOWS,
            activities=_activities(settings, client, hub, log, audit, claims, samples, quarantine),
            workflow_runner=RUNNER,
            interceptors=[*worker_interceptors(), Observed()],
            max_concurrent_activities=settings.worker_activities,
            max_eager_activity_reservations_per_workflow_task=20,
            max_heartbeat_throttle_interval=HEARD_WITHIN,
            default_heartbeat_throttle_interval=HEARD_WITHIN,
            graceful_shutdown_timeout=timedelta(seconds=2),
            deployment_config=version if versioned else None,
        )
        async with worker:
            if versioned:
                await make_current(client, version)
            notifying = asyncio.create_task(Notifier(log, outbox, targets, samples).work())
            try:
                yield worker
            finally:
                notifying.cancel()
                await asyncio.gather(notifying, return_exceptions=True)


def _activities(
    settings: Settings,
    client: Client,
    hub: Hub,
    log: AuditLog,
    audit: Audit,
    claims: Claims,
    samples: PoolSamples,
    quarantine: Quarantine,
) -> list[Callable[..., Any]]:
    storage = open_storage(settings.storage)
    claiming = Claiming(hub, audit, claims)
    jobs = Jobs(hub, storage, audit, JobPoller(hub), claiming)
    limits: Limits = {"memory_limit": int(settings.selection_memory), "temp_dir": settings.spill_dir}
    apart = Apart()
    plans = Plans(storage, **limits, quarantine=quarantine, apart=apart)
    outcomes = Outcomes(storage, **limits, forgiving=Forgiving(storage, audit, quarantine, apart), apart=apart)
    checks = PlanChecks(storage, log)
    applied = AppliedPolicies(audit, storage)
    events = Events(client, audit, applied, settings.task_queue)
    starts = Starts(client, audit, Holds(log), applied, settings.task_queue, settings.runs_per_site)

    async def keep(measured: Measured) -> None:
        await asyncio.to_thread(samples.keep, measured)

    watching = PoolWatching(client, audit, PoolBoard(hub, keep), starts, settings.task_queue)
    return [
        audit.record,
        Preflight(hub, audit).check_hub,
        Inventories(hub, storage, **limits, apart=apart).take_inventory,
        plans.make_plan,
        checks.usual_plan,
        checks.misfit,
        Submits(hub, storage, audit, claiming, JobLimits(log)).submit_batch,
        jobs.watch_job,
        jobs.cancel_jobs,
        jobs.hold_jobs,
        WindowTimes().open_times,
        HubHealth(hub).watch_health,
        outcomes.next_round,
        outcomes.next_stage,
        Retried(storage, **limits).asked_round,
        Quarantining(storage, audit, quarantine).set_aside,
        Reconciliation(hub, storage, audit).reconcile,
        outcomes.close_outcomes,
        starts.hear_wish,
        starts.renew_wish,
        starts.record_decision,
        starts.record_refusal,
        starts.look_for_room,
        starts.follow_run,
        starts.ended_ones,
        starts.cancel_run,
        starts.hand_in,
        events.hear_events,
        events.hand_over,
        events.tell_dropped,
        events.tell_run_ended,
        HubEvents(hub, client, settings.task_queue).follow_hub,
        watching.watch_level,
        watching.measure_pools,
        watching.wish,
        watching.hear_answer,
        watching.follow_drain,
        watching.follow_copy,
        ScheduleKeeper(client, audit, starts.holds, settings.task_queue).keep_schedules,
    ]
