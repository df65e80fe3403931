"""Looks at a plan with the eyes of the past: what earlier runs planned, and whether the plan still fits."""

import asyncio
from dataclasses import dataclass
from statistics import median

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditUnavailable, Stored
from activities.manifests import ManifestDamaged, open_manifest
from activities.storage import Storage
from workflows.payload import Payload
from workflows.plan import Plan, UsualPlan

_LOOKED_AT = 5_000
"""So many of the newest ends of runs are looked through for those of one policy."""

_WORKED = ("succeeded", "failed", "cancelled")
"""Ends of runs whose plan somebody or something had found good enough to begin with."""


class UsualRequest(Payload):
    """A policy, by its name, and how many of its last runs are looked at."""

    policy: str
    runs: int


class FitRequest(Payload):
    """A plan that was approved, and the applied version of the policy that it was made by, if one was."""

    policy: str
    version: int | None
    plan: Plan


@dataclass
class PlanChecks:
    """The activities; they read the audit and the storage, and change nothing."""

    storage: Storage
    log: AuditLog

    @activity.defn
    async def usual_plan(self, request: UsualRequest) -> UsualPlan:
        """Give the medians of what the policy's last runs planned."""
        return await asyncio.to_thread(usual_plan, self.log, request)

    @activity.defn
    async def misfit(self, request: FitRequest) -> str | None:
        """Say why the plan can no longer be run as it was approved; None when it can."""
        try:
            return await asyncio.to_thread(misfit, self.storage, self.log, request)
        except AuditUnavailable as error:
            raise ApplicationError(str(error), type=type(error).__name__) from error


def usual_plan(log: AuditLog, request: UsualRequest) -> UsualPlan:
    """Look the last runs of a policy up that began their work."""
    runs = [end.run for end in runs_of(log, request.policy, request.runs)]
    plans = [made[-1].body for run in runs if (made := log.records(run=run, event=Event.PLAN_MADE))]
    if not plans:
        return UsualPlan()
    return UsualPlan(
        runs=len(plans),
        files=round(median(plan["files"] for plan in plans)),
        bytes=round(median(int(plan["bytes"]) for plan in plans)),
    )


def runs_of(log: AuditLog, policy: str, count: int) -> list[Stored]:
    """Give the ends of the last runs of a policy that began their work, the newest first."""
    ends = log.records(event=Event.RUN_ENDED, newest=True, limit=_LOOKED_AT)
    return [end for end in reversed(ends) if end.run and _is_work_of(policy, end)][:count]


def misfit(storage: Storage, log: AuditLog, request: FitRequest) -> str | None:
    """Look whether the manifest is whole and the policy's applied version is still the one that was planned."""
    try:
        open_manifest(storage, request.plan.manifest)
    except ManifestDamaged as error:
        return f"the plan's list is not whole any more: {error}"
    latest = _latest(log, request.policy, request.version)
    if latest is None or latest.body.get("policy_digest") == request.plan.policy_digest:
        return None
    number = latest.body.get("version")
    what = f"applied version {number}" if latest.body.get("policy_digest") else "removed it"
    return f"the policy changed after this plan was made: {latest.actor} {what}. Start a new run"


def _is_work_of(policy: str, end: Stored) -> bool:
    return end.body.get("policy") == policy and end.body.get("state") in _WORKED


def _latest(log: AuditLog, policy: str, version: int | None) -> Stored | None:
    """Find the newest change of an applied policy after a version; each has the number that follows as its key."""
    latest = None
    while version is not None and (after := log.get(f"policy/{policy}/{version + 1}")) is not None:
        latest, version = after, version + 1
    return latest
