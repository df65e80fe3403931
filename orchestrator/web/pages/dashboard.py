"""The dashboard as a whole: every address of it, who may see it, and how an error becomes a page with a way out."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from orchestrator.auditing.proof import Proof, prove
from orchestrator.auditing.watching import ChainWatch
from orchestrator.engine import Engine
from orchestrator.web.access import admitted, refuse_cross_site
from orchestrator.web.installation import installation
from orchestrator.web.pages.audit import AuditPage
from orchestrator.web.pages.events import EventPages
from orchestrator.web.pages.file_history import FilePage
from orchestrator.web.pages.frame import STATIC, Frame, Refused
from orchestrator.web.pages.live import Live
from orchestrator.web.pages.overview import Overview
from orchestrator.web.pages.plans import PlanPages
from orchestrator.web.pages.policies import PolicyPages
from orchestrator.web.pages.pools import PoolPages
from orchestrator.web.pages.run import RunPage
from orchestrator.web.pages.runs import RunList
from orchestrator.web.pages.sign_in import SignIn
from orchestrator.web.pages.steering import Steering
from orchestrator.web.pages.verification import Verification
from orchestrator.web.problems import Problem, problem_of

Show = Callable[[Request], Awaitable[Response]]


@dataclass
class Pages:
    """The pages over one engine; a stack that was started anew has another engine, and gets others."""

    engine: Engine
    frame: Frame
    chain: ChainWatch
    live: Live = field(init=False)
    verification: Verification = field(init=False)

    def __post_init__(self) -> None:
        engine, frame = self.engine, self.frame
        self.live = Live(engine)
        self.verification = Verification(engine.log, self.chain, self._prove)
        frame.holds, frame.verification = engine.holds, self.verification
        self.overview = Overview(frame, self.live)
        self.runs = RunList(frame, self.live)
        self.run = RunPage(frame, self.live)
        self.steering = Steering(frame, self.live)
        self.plans = PlanPages(frame, self.live)
        self.policies = PolicyPages(frame, self.live)
        self.pools = PoolPages(frame, self.live)
        self.events = EventPages(frame, self.live)
        self.audit = AuditPage(frame, self.live)
        self.file = FilePage(frame, self.live)
        self._watching = asyncio.create_task(self.verification.watching())

    async def close(self) -> None:
        """End what goes on in the background."""
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching
        await self.plans.close()
        await self.live.close()

    def _prove(self) -> Proof:
        return prove(self.engine.log, self.live.storage, self.engine.settings.public_keys)


class Last(Route):
    """A route for what no other one knows: where one does, and the method alone is wrong, that one says so."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match in part only, behind every other one that does."""
        found, child = super().matches(scope)
        return (Match.PARTIAL if found is Match.FULL else found), child


class Dashboard:
    """Routes to the pages; everything but the sign-in is for those who are signed in."""

    def __init__(self) -> None:
        self._frame = Frame()
        self._sign_in = SignIn(self._frame)
        self._opening = asyncio.Lock()
        self._pages: Pages | None = None

    @property
    def routes(self) -> list[BaseRoute]:
        """Every address of the dashboard."""
        run, plan, policy, pool = "/runs/{run}", "/plans/{digest}", "/policies/{policy}", "/pools/{pool:path}"
        return [
            Route("/sign-in", self._open(self._sign_in.show), methods=["GET"]),
            Route("/sign-in", self._open(self._sign_in.enter), methods=["POST"]),
            Route("/sign-out", self._open(self._sign_in.leave), methods=["POST"]),
            self._get("/", lambda pages: pages.overview.show),
            self._get("/now", lambda pages: pages.overview.fresh),
            self._get("/runs", lambda pages: pages.runs.show),
            self._get(run, lambda pages: pages.run.show),
            self._get(f"{run}/now", lambda pages: pages.run.fresh),
            self._get(f"{run}/curve", lambda pages: pages.run.fresh_curve),
            self._get(f"{run}/files", lambda pages: pages.run.files),
            self._post(f"{run}/{{act}}", lambda pages: pages.steering.act),
            self._get("/plans", lambda pages: pages.plans.index),
            self._get(plan, lambda pages: pages.plans.show),
            self._get(f"{plan}/now", lambda pages: pages.plans.fresh),
            self._get(f"{plan}/files", lambda pages: pages.plans.files),
            self._get("/policies", lambda pages: pages.policies.index),
            self._get(policy, lambda pages: pages.policies.show),
            self._post(f"{policy}/pause", lambda pages: pages.steering.hold),
            self._post(f"{policy}/resume", lambda pages: pages.steering.hold),
            self._get("/pools", lambda pages: pages.pools.index),
            self._get(pool, lambda pages: pages.pools.show),
            self._get("/events", lambda pages: pages.events.index),
            self._get("/events/{name:path}", lambda pages: pages.events.show),
            self._get("/audit", lambda pages: pages.audit.show),
            self._get("/audit/file", lambda pages: pages.file.show),
            self._get("/audit/badge", lambda pages: pages.audit.badge),
            self._post("/audit/verify", lambda pages: pages.audit.verify),
            self._get("/audit/{seq:int}", lambda pages: pages.audit.record),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
            Last("/{path:path}", self._open(self.nothing_here), methods=["GET"]),
        ]

    async def close(self) -> None:
        """Let go of everything."""
        if self._pages is not None:
            await self._pages.close()

    async def nothing_here(self, request: Request) -> Response:
        """Say that there is no such page; programs are told by the API itself."""
        if request.path_params["path"].startswith("api/"):
            raise HTTPException(404)
        with suppress(Problem):
            request.state.caller = await admitted(request)
        return await self._refused(request, Refused(404, "Nothing is here", "There is no page at this address."))

    def _get(self, path: str, page: Callable[[Pages], Show]) -> Route:
        return Route(path, self._inside(page), methods=["GET"])

    def _post(self, path: str, page: Callable[[Pages], Show]) -> Route:
        return Route(path, self._inside(page), methods=["POST"])

    def _open(self, show: Show) -> Show:
        """Wrap a page that anybody may see."""

        async def shown(request: Request) -> Response:
            try:
                refuse_cross_site(request)
                return await show(request)
            except HTTPException:
                raise
            except Refused as refused:
                return await self._refused(request, refused)
            except Exception as error:
                return await self._problem(request, problem_of(error, request))

        return shown

    def _inside(self, page: Callable[[Pages], Show]) -> Show:
        """Wrap a page for those who are signed in; anybody else is asked to sign in."""

        async def shown(request: Request) -> Response:
            try:
                request.state.caller = await admitted(request)
            except Problem as problem:
                if problem.status == 401:
                    return _to_sign_in(request)
                return await self._problem(request, problem)
            try:
                there = installation(request)
                pages = await self._over(await there.engine(), there.chain())
                return await page(pages)(request)
            except Refused as refused:
                return await self._refused(request, refused)
            except Exception as error:
                return await self._problem(request, problem_of(error, request))

        return shown

    async def _over(self, engine: Engine, chain: ChainWatch) -> Pages:
        if self._pages is None or self._pages.engine is not engine:
            async with self._opening:
                if self._pages is None or self._pages.engine is not engine:
                    former, self._pages = self._pages, Pages(engine, self._frame, chain)
                    if former is not None:
                        await former.close()
        return self._pages

    async def _problem(self, request: Request, problem: Problem) -> Response:
        why = str(problem.detail)
        if problem.instance is not None:
            why += f" ({problem.instance})"
        titles = {403: "That is not yours to do", 404: "Nothing is here", 429: "Too many tries", 503: "No answer"}
        title = titles.get(problem.status, "Something went wrong" if problem.status >= 500 else "That was not done")
        answer = await self._refused(request, Refused(problem.status, title, why))
        for name, value in (problem.headers or {}).items():
            if name.lower() == "retry-after":
                answer.headers[name] = value
        return answer

    async def _refused(self, request: Request, refused: Refused) -> Response:
        if request.url.path.endswith(("/now", "/curve", "/badge")):  # a part of a page: what it shows is kept
            return Response(refused.why, refused.status, media_type="text/plain")
        return await self._frame.refused(request, refused)


def _to_sign_in(request: Request) -> Response:
    if request.method != "GET" or request.url.path.endswith(("/now", "/curve", "/badge")):
        return RedirectResponse("/sign-in", 303)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/sign-in?next={quote(request.url.path + query)}", 303)
