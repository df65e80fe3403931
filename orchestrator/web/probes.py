"""`/healthz`, `/readyz` and `/metrics`: for those who watch over processes; they need no token and tell no secret."""

import asyncio
from collections.abc import Awaitable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orchestrator.health import Finding, Health, audit, hub, temporal
from orchestrator.observing.exposition import CONTENT_TYPE
from orchestrator.web.installation import installation

router = APIRouter(tags=["probes"])


class Alive(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether what the process needs can be used; `reasons` say why not."""

    status: Literal["ok", "fail"]
    checks: dict[str, Health]
    reasons: dict[str, list[str]]


@router.get("/healthz", summary="Whether the process lives")
async def alive() -> Alive:
    """Answer, that is all."""
    return Alive()


@router.get("/readyz", summary="Whether what it needs can be used", responses={503: {"model": Ready}})
async def ready(request: Request) -> Ready:
    """Ask Temporal, the audit's database and the Hub."""
    now = await installation(request).settings()
    asked = {"temporal": _one(temporal(now)), "audit": _one(asyncio.to_thread(audit, now)), "hub": hub(now, within=5.0)}
    found = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    failed = {name: [one.sentence for one in findings if one.health is Health.FAIL] for name, findings in found.items()}
    reasons = {name: texts for name, texts in failed.items() if texts}
    checks = {name: Health.FAIL if name in reasons else Health.OK for name in found}
    answer = Ready(status="fail" if reasons else "ok", checks=checks, reasons=reasons)
    return answer if not reasons else JSONResponse(answer.model_dump(mode="json"), 503)  # type: ignore[return-value]


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Give what is counted here and what the databases say, for Prometheus."""
    return Response(await request.app.state.exposition.text(), headers={"content-type": CONTENT_TYPE})


async def _one(finding: Awaitable[Finding]) -> list[Finding]:
    return [await finding]
