"""Health: what `orchestrator doctor` finds, for those who may read; probes have `/healthz` and `/readyz`."""

from fastapi import APIRouter
from starlette.requests import Request

from orchestrator.health import Health, examine
from orchestrator.stack import temporal_is_configured
from orchestrator.web.access import READS, Guarded
from orchestrator.web.installation import installation
from orchestrator.web.parameters import Answer
from orchestrator.web.problems import declared

router = APIRouter(prefix="/health", tags=["health"], route_class=Guarded, dependencies=[READS])


class FindingLine(Answer):
    """What was found about one thing, and what to do about it."""

    about: str
    health: Health
    found: str
    advice: str


class HealthReport(Answer):
    """How well everything is; the worst finding counts."""

    health: Health
    findings: list[FindingLine]


@router.get("", summary="How well everything is", responses=declared(401, 403, 422, 429, 500, 503))
async def show_health(request: Request) -> HealthReport:
    """Ask everything that the installation depends on; the answer is kept for some seconds."""
    there = installation(request)

    async def look() -> HealthReport:
        settings = await there.settings()
        embedded = not temporal_is_configured(settings)
        findings = [
            FindingLine.model_validate(one)
            async for one in examine(settings, embedded=embedded, local_hub=settings.hub_url is None)
        ]
        order = (Health.FAIL, Health.WARN, Health.OK)
        return HealthReport(health=min((one.health for one in findings), key=order.index), findings=findings)

    found: HealthReport = await there.health.get("all", look)
    return found
