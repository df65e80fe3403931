"""What a run does before anything moves: it looks at the Hub, lists the namespace, plans, and meets its guards."""

from datetime import datetime
from typing import NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inventory import Inventories, InventoryRef, InventoryRequest
    from activities.plan_checks import FitRequest, PlanChecks, UsualRequest
    from activities.preflight import Preflight, PreflightRequest
    from activities.selection import PlanRequest, Plans
    from workflows.control import caps, excess, stale
    from workflows.course import Course, Refused
    from workflows.options import CHECK, LONG_READ, PREFLIGHT
    from workflows.plan import Plan, UsualPlan
    from workflows.run import Phase, RunRequest


class Preparation:
    """The way to the plan; `plan` and `problems` of the inventory are what comes of it."""

    def __init__(self, request: RunRequest, course: Course) -> None:
        self.plan: Plan | None = None
        self.problems = 0
        self._request = request
        self._policy = request.policy
        self._course = course
        self._inventory: InventoryRef | None = None
        self._usual: UsualPlan | None = None

    @property
    def planned(self) -> Plan:
        """The plan, which has been made."""
        assert self.plan is not None
        return self.plan

    @property
    def exceeded(self) -> str | None:
        """The guard on size that the plan breaks."""
        return excess(self.planned, self._policy.guards, self._usual)

    async def check_the_hub(self) -> None:
        """Go on only where the site, every hub workflow and every queue of the run are there and well."""
        for needs in hub_needs(self._request):
            check = workflow.start_activity_method(Preflight.check_hub, needs, **PREFLIGHT)
            await self._course.unless_stopped(check)

    async def list_the_namespace(self) -> None:
        """Take the inventory."""
        self._course.phase = Phase.INVENTORY
        select = self._policy.select
        request = InventoryRequest(
            name=self._request.run, site=self._policy.one_site, source=select.source, paths=select.paths
        )
        self._inventory = await self._course.unless_stopped(
            workflow.start_activity_method(Inventories.take_inventory, request, **LONG_READ)
        )
        self.problems = self._inventory.problems

    async def make_the_plan(self) -> None:
        """Plan, and where a guard truncates, plan again within its bounds."""
        self._course.phase = Phase.PLAN
        plan = await self._plan_within(None, None)
        guards = self._policy.guards
        if guards.unusual is not None:
            request = UsualRequest(policy=self._policy.name, runs=guards.unusual.runs)
            self._usual = await self._course.unless_stopped(
                workflow.start_activity_method(PlanChecks.usual_plan, request, **CHECK)
            )
        if guards.on_exceed == "truncate" and excess(plan, guards, self._usual):
            plan = await self._plan_within(*caps(plan, guards, self._usual))
        self.plan = plan
        await self._course.record(
            "plan.made",
            policy=self._policy.name,
            **plan.model_dump(mode="json"),
            inventory_problems=self.problems,
        )

    async def meet_the_guards(self) -> None:
        """Refuse a plan that is too large or too old; one that a person may agree to is asked for later."""
        guards = self._policy.guards
        why = stale(self.planned, guards, now_us=micros(workflow.now()))
        if guards.on_exceed != "ask":
            why = self.exceeded or why
        if why:
            await self._refuse(why)

    async def still_fits(self) -> None:
        """Refuse an approved plan that the policy or the passing of time has overtaken."""
        request = FitRequest(policy=self._policy.name, version=self._request.version, plan=self.planned)
        unfit = await self._course.unless_stopped(workflow.start_activity_method(PlanChecks.misfit, request, **CHECK))
        unfit = unfit or stale(self.planned, self._policy.guards, now_us=micros(workflow.now()))
        if unfit:
            await self._refuse(unfit)

    async def _refuse(self, why: str) -> NoReturn:
        await self._course.record("run.refused", why=why)
        raise Refused(why)

    async def _plan_within(self, files: int | None, size: int | None) -> Plan:
        assert self._inventory is not None
        asked = self._request.as_of_us
        request = PlanRequest(
            run=self._request.run,
            policy=self._policy,
            inventory=self._inventory,
            as_of_us=asked if asked is not None else micros(self._course.started),
            cap_files=files,
            cap_bytes=size,
            enough_bytes=self._request.enough_bytes,
            room_bytes=self._request.room_bytes,
            tried_in=self._request.tried_in,
            retries=self._request.retries,
        )
        return await self._course.unless_stopped(workflow.start_activity_method(Plans.make_plan, request, **LONG_READ))


def hub_needs(request: RunRequest) -> tuple[PreflightRequest, ...]:
    """Say what a run counts on at the Hub: its site, with every hub workflow and its queue."""
    return tuple(
        PreflightRequest(run=request.run, site=request.policy.one_site, workflow=hub_workflow, queue=queue)
        for hub_workflow, queue in request.policy.run.needs
    )


def micros(moment: datetime) -> int:
    """Give a moment in microseconds since the epoch."""
    return round(moment.timestamp() * 1_000_000)
