"""Approvals: what waits for a person's word, and what was said; the word itself is said to the run."""

from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request

from orchestrator.approvals import Waiting, waiting_runs
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import engine
from orchestrator.web.parameters import Answer
from orchestrator.web.problems import declared

router = APIRouter(prefix="/approvals", tags=["approvals"], route_class=Guarded, dependencies=[READS])


class WaitingRun(Answer):
    """A run that waits for somebody's word on its plan; whoever `not_by` names may not approve it."""

    run: str
    policy: str
    digest: str
    files: int
    bytes: int
    why: str
    since: datetime
    expires: datetime
    not_by: str | None


class ApprovalList(Answer):
    """The runs that wait, the longest one first."""

    waiting: list[WaitingRun]


@router.get("", summary="List what waits for approval", responses=declared(401, 403, 422, 429, 500, 503))
async def list_approvals(request: Request) -> ApprovalList:
    """List the runs that wait for a person's word, and with which plan."""
    there = await engine(request)
    found: list[Waiting] = await waiting_runs(there)
    return ApprovalList(waiting=[WaitingRun.model_validate(one) for one in found])
