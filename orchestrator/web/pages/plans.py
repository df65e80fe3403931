"""The plans: what a run would do or did, by rule, owner, age and size, and the pool before and after."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from activities.errors import HubError
from activities.ledger.events import Event
from activities.ledger.finding import Wanted
from activities.ledger.records import Stored
from activities.manifests import Head, ManifestDamaged, read_head, read_rows
from activities.plan_report import PlanReport, report_plan
from activities.quarantine import Quarantine
from activities.storage import Missing
from orchestrator.hub import open_hub
from orchestrator.pool_levels import PoolLevel, pool_level
from orchestrator.reporting.errors import bulk_in
from orchestrator.web.pages.frame import Frame, Refused
from orchestrator.web.pages.live import Live
from workflows.names import to_path
from workflows.plan import Plan
from workflows.policy import Policy

A_PAGE = 50
MOST_KEPT = 32
HUB_WITHIN = 10.0


@dataclass(frozen=True)
class Look:
    """What was counted in a plan; `doing` while that goes on, `why` when it cannot be."""

    report: PlanReport | None = None
    pool: PoolLevel | None = None
    doing: bool = False
    why: str | None = None


class PlanPages:
    """The list of plans, and the page of each."""

    def __init__(self, frame: Frame, live: Live) -> None:
        self._frame = frame
        self._live = live
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._looking: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    async def close(self) -> None:
        """End the counting that is under way."""
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    async def index(self, request: Request) -> Response:
        """Show the plans that runs made, the newest first."""
        policy = request.query_params.get("policy", "")
        text = request.query_params.get("before", "")
        before = int(text) if text.isdecimal() and len(text) < 18 else None
        page = await asyncio.to_thread(self._made, Wanted(event=Event.PLAN_MADE, policy=policy or None), before)
        return await self._frame.page(
            request, "plans.html", records=page[0], older=page[1], policy=policy, first=before is None
        )

    async def show(self, request: Request) -> Response:
        """Show one plan."""
        return await self._frame.page(request, "plan.html", **await self._values(request))

    async def fresh(self, request: Request) -> Response:
        """Show what was counted in it by now."""
        return await self._frame.part(request, "plan_counts.html", **await self._values(request))

    async def files(self, request: Request) -> Response:
        """Show the files of one batch of a plan, in their order."""
        _, head, _ = await self._found(request.path_params["digest"])
        text = request.query_params.get("batch", "0")
        number = min(int(text) if text.isdecimal() and len(text) < 10 else 0, max(head.batches - 1, 0))
        rows: list[dict[str, Any]] = []
        if head.batches:
            try:
                table = await asyncio.to_thread(read_rows, self._live.storage, f"plans/{head.digest}", number)
                rows = table.to_pylist()
            except (ManifestDamaged, Missing) as error:
                raise Refused(404, "The plan cannot be read", str(error), "/plans", "All plans") from error
        return await self._frame.page(request, "plan_files.html", head=head, rows=rows, number=number)

    async def _values(self, request: Request) -> dict[str, Any]:
        made, head, look = await self._found(request.path_params["digest"])
        policy = Policy.model_validate_json(head.policy) if head.policy else None
        # Of a plan that is at work, or was, the pool's level holds a part already: it is no level "before" it.
        begun = [one.run for one in made if one.run and (await self._live.story(one.run)).rounds]
        after = None
        if look.report is not None and look.pool is not None:
            after = look.pool.percent_after(look.report.freed)
        return {
            "made": made, "head": head, "look": look, "policy": policy, "report": look.report,
            "pool": None if begun else look.pool, "begun": begun,
            "pool_after": after, "plan": made[-1].body if made else None, "to_path": to_path,
        }  # fmt: skip

    async def _found(self, digest: str) -> tuple[list[Stored], Head, Look]:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise Refused(404, "No such plan", "A plan is named by its digest: 64 hex digits.", "/plans", "All plans")
        try:
            head = await asyncio.to_thread(read_head, self._live.storage, f"plans/{digest}")
        except (ManifestDamaged, Missing) as error:
            raise Refused(404, "No such plan", f"{error}", "/plans", "All plans") from error
        wanted = Wanted(event=Event.PLAN_MADE, said=(f'"digest":"{digest}"',))
        made, _ = await asyncio.to_thread(self._made, wanted, None)
        return made[::-1], head, self._look(digest, made[0] if made else None, head)

    def _made(self, wanted: Wanted, before: int | None) -> tuple[list[Stored], int | None]:
        log = self._live.engine.log
        if not log.is_there():
            return [], None
        page = log.find(wanted, before=before, limit=A_PAGE)
        return page.records[::-1], page.older

    def _look(self, digest: str, made: Stored | None, head: Head) -> Look:
        """Give what was counted, and begin to count when nobody has."""
        if digest in self._looks:
            self._looks.move_to_end(digest)
            return self._looks[digest]
        if made is None or head.policy is None:
            return Look(why="no run made this plan, so nobody knows the inventory that it came from")
        self._looks[digest] = Look(doing=True)
        while len(self._looks) > MOST_KEPT:
            self._looks.popitem(last=False)
        task = asyncio.create_task(self._count(digest, made, Policy.model_validate_json(head.policy)))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)
        return self._looks[digest]

    async def _count(self, digest: str, made: Stored, policy: Policy) -> None:
        look = Look()
        try:
            async with self._one_at_a_time:
                report = await asyncio.to_thread(self._report, policy, _plan_of(made, policy))
                look = replace(look, report=report)
        except (Missing, ManifestDamaged):
            look = replace(look, why="its inventory is not in the storage any more")
        except Exception as error:  # whatever it is, the page must not say "counting" for ever
            look = replace(look, why=f"{type(error).__name__}: {error}")
        try:
            async with asyncio.timeout(HUB_WITHIN), open_hub(self._live.engine.settings) as hub:
                look = replace(look, pool=await pool_level(hub, policy))
        except (HubError, TimeoutError, OSError, ValueError):
            pass  # a plan is whole without its pool's level
        self._looks[digest] = look

    def _report(self, policy: Policy, plan: Plan) -> PlanReport:
        settings = self._live.engine.settings
        quarantine = Quarantine(settings.quarantine.get_secret_value())
        try:
            bulk = bulk_in(settings.spill_dir, int(settings.selection_memory))
            return report_plan(self._live.storage, bulk, policy, plan, quarantine)
        finally:
            quarantine.close()


def _plan_of(made: Stored, policy: Policy) -> Plan:
    """Make the plan again that a record tells of; canonical JSON writes the greatest numbers as text."""
    return Plan.model_validate({**made.body, "policy_digest": policy.digest}, strict=False)
