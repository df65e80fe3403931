"""Assembles the web server: the API, the probes, the door for events, and what guards them all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from orchestrator.observing.exposition import Exposition
from orchestrator.observing.requests import CountedRequests
from orchestrator.settings import Settings
from orchestrator.web import probes
from orchestrator.web.api import (
    approvals,
    audit,
    events,
    health,
    holds,
    limits,
    live,
    plans,
    policies,
    pools,
    quarantine,
    runs,
    session,
    starts,
    steering,
    tokens,
)
from orchestrator.web.events import EventsDoor
from orchestrator.web.guards import Guards
from orchestrator.web.installation import Installation
from orchestrator.web.pages.dashboard import Dashboard
from orchestrator.web.problems import Mistake, Problem, ProblemDocument, on_http_error, on_problem, on_wrong_request

API: Final = "/api/v1"
ROUTERS: Final = (
    policies.router,
    plans.router,
    runs.router,
    live.router,
    steering.router,
    approvals.router,
    pools.router,
    events.router,
    holds.router,
    starts.router,
    quarantine.router,
    limits.router,
    audit.router,
    health.router,
    tokens.router,
    session.guarded,
    session.router,
)


def application(settings: Settings) -> FastAPI:
    """Make the application for an installation; nothing is connected before the first request."""
    installation, dashboard = Installation(settings), Dashboard()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await dashboard.close()
        await installation.close()

    app = FastAPI(
        title="Tiering orchestrator",
        version=version("tiering-orchestrator"),
        summary="Policies, plans, runs, approvals and the audit of file tiering.",
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # Its page fetches scripts from elsewhere.
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Problem: on_problem,
            RequestValidationError: on_wrong_request,
            HTTPException: on_http_error,
        },
    )
    app.state.installation = installation
    app.state.exposition = Exposition(settings)
    api = APIRouter(prefix=API)
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)
    app.include_router(probes.router)
    app.add_route("/events", EventsDoor(settings).post, methods=["POST"], include_in_schema=False)
    app.router.routes.extend(dashboard.routes)
    app.add_middleware(Guards, secure=installation.secure)
    app.add_middleware(CountedRequests)  # Around the guards: what they turn away counts too.
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # As the framework documents it.
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """Make the OpenAPI document, once; problems have their own model in it."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemDocument, Mistake):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        app.openapi_schema = found
    return app.openapi_schema
