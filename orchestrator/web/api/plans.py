"""Plans: which were made, what is in one, and its files."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from activities.ledger.log import AuditLog
from orchestrator.plans import NoSuchPlan, PlanFiles, made_plans, plan_files, plan_head, report_of
from orchestrator.settings import Settings
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import installation
from orchestrator.web.parameters import Answer, Digest, FilesLimit, Limit, Offset, OfPolicy, OfRun
from orchestrator.web.problems import Problem, declared, unknown

router = APIRouter(prefix="/plans", tags=["plans"], route_class=Guarded, dependencies=[READS])
_READ = declared(401, 403, 404, 409, 422, 429, 500, 503)


class RuleLine(Answer):
    """What one rule put into a plan."""

    name: str
    files: int
    bytes: int


class MadePlan(Answer):
    """A plan that a run has made; `seq` is its record in the audit."""

    seq: int
    at: datetime
    run: str | None
    policy: str
    digest: str
    files: int
    bytes: int
    batches: int


class PlanList(Answer):
    """A page of the plans that runs have made, the newest first."""

    plans: list[MadePlan]
    next: int | None = Field(description="`before` of the next page; null at the end.")


class PlanHead(Answer):
    """A plan as its manifest says; `runs` have made it."""

    digest: str
    policy: str | None
    site: str | None
    policy_digest: str
    as_of: datetime
    files: int
    bytes: int
    batches: int
    rules: list[RuleLine]
    passed_over: dict[str, int]
    scope_files: int | None
    scope_bytes: int | None
    truncated_by_guard: bool | None
    runs: list[str]


class PlannedFile(Answer):
    """One file of a plan; `path` is path text, `modified` microseconds since the epoch."""

    ordinal: int
    batch: int
    path: str
    size: int | None
    modified: int | None
    rule: str


class PlanFilePage(Answer):
    """A page of a plan's files in their order."""

    files: list[PlannedFile]
    total: int
    next: int | None = Field(description="`offset` of the next page; null at the end.")


@router.get("", summary="List plans", responses=declared(401, 403, 422, 429, 500, 503))
async def list_plans(
    request: Request,
    policy: OfPolicy = None,
    run: OfRun = None,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=2**53 - 1, description="`next` of the page before.")] = None,
) -> PlanList:
    """List the plans that runs have made, as the audit tells of them."""
    log = installation(request).log
    page = await asyncio.to_thread(made_plans, log, policy=policy, run=run, limit=limit, before=before)
    return PlanList(plans=[MadePlan.model_validate(one) for one in page.plans], next=page.following)


@router.get("/{digest}", summary="Show a plan", responses=_READ)
async def show_plan(request: Request, digest: Digest) -> PlanHead:
    """Show what a plan's manifest says, and which runs made it."""
    return PlanHead.model_validate(await _asked(request, plan_head, digest))


@router.get("/{digest}/files", summary="List a plan's files", responses=_READ)
async def list_plan_files(
    request: Request, digest: Digest, limit: FilesLimit = 100, offset: Offset = 0
) -> PlanFilePage:
    """List the files of a plan in their order."""

    def look(settings: Settings, log: AuditLog, digest: str) -> PlanFiles:
        return plan_files(settings, digest, offset=offset, limit=limit)

    found: PlanFiles = await _asked(request, look, digest)
    following = offset + len(found.files)
    files = [PlannedFile.model_validate(one) for one in found.files]
    return PlanFilePage(files=files, total=found.total, next=following if files and following < found.total else None)


@router.get("/{digest}/report", summary="Report on a plan", responses=_READ)
async def report_plan(request: Request, digest: Digest) -> dict[str, JsonValue]:
    """Count what is in a plan: by rule, owner, age and size, and what stays and why; the inventory must be there."""
    found: dict[str, JsonValue] = await installation(request).plan_reports.get(
        digest, lambda: _asked(request, report_of, digest)
    )
    return found


async def _asked(request: Request, ask: Any, digest: str) -> Any:
    there = installation(request)
    try:
        return await asyncio.to_thread(ask, await there.settings(), there.log, digest)
    except NoSuchPlan as error:
        raise unknown(str(error)) from None
    except LookupError as error:
        raise Problem(409, "gone", str(error)) from None
