"""The approvals of a run: the plan waits for a person where its policy says so, and so may each later stage."""

from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.outcomes import RoundRef
    from workflows.agreement import approval_reason, approves_itself, wanted_of
    from workflows.course import Course, Expired, Refused
    from workflows.gate import Gate
    from workflows.plan import Plan
    from workflows.run import ApprovalWanted, Decision, Phase, RunRequest, RunState, Stop


class Approvals:
    """Asks at the gate, heeds what is said there, and counts the time that people took."""

    def __init__(self, request: RunRequest, course: Course) -> None:
        self.gate = Gate()
        self._request = request
        self._policy = request.policy
        self._course = course

    @property
    def is_asking(self) -> bool:
        """Whether somebody is asked now."""
        return self.gate.wanted is not None

    async def of_plan(self, plan: Plan, exceeded: str | None, still_fits: Callable[[], Awaitable[None]]) -> None:
        """Wait until a person agrees to this plan, where one must; raises Refused or Expired. Nothing has moved."""
        why = approval_reason(self._policy, plan, exceeded)
        if why is None:
            return
        if exceeded is None and approves_itself(self._policy.approval.auto, plan):
            why = "it is within approval.auto of the policy"
            await self._course.record("plan.approved", digest=plan.digest, reason=why)
            return
        wanted = await self._ask(plan, why)
        try:
            decision = await self.gate.wait(wanted, lambda: self._course.stop is not None)
            await self._heed(decision, wanted)
            await still_fits()
        finally:
            self._course.waited_for_approval = workflow.now() - wanted.since
            self.gate.close()
        workflow.upsert_memo({"state": str(RunState.RUNNING)})

    async def of_stage(self, ref: RoundRef, name: str, why: str, left_out: Callable[[], bool]) -> None:
        """Wait until a person agrees to a stage, or leaves it out; files have moved, so that a no stops the run."""
        wanted = await self._ask(ref, why)
        try:
            decision = await self.gate.wait(wanted, lambda: self._course.stop is not None or left_out())
            if not left_out():
                await self._heed_for_stage(decision, wanted, name)
        finally:
            self._course.waited_for_approval += workflow.now() - wanted.since
            self.gate.close()
        self._course.phase = Phase.WORK
        self._course.announce()

    async def _ask(self, what: Plan | RoundRef, why: str) -> ApprovalWanted:
        owner, now = self._request.actor, workflow.now()
        wanted = wanted_of(self._policy, owner, now, digest=what.digest, files=what.files, size=what.bytes, why=why)
        self._course.phase = Phase.APPROVAL
        await self._course.record("approval.wanted", **wanted.model_dump(mode="json"))
        workflow.upsert_memo({"state": str(RunState.WAITING)})
        return wanted

    async def _heed(self, decision: Decision | None, wanted: ApprovalWanted) -> None:
        self._course.go_on()
        if decision is None:
            raise Expired(await self._record_expiry("the plan", wanted))
        await self._record_word(decision, wanted)
        if not decision.approved:
            raise Refused(_rejected(decision, "the plan"))

    async def _heed_for_stage(self, decision: Decision | None, wanted: ApprovalWanted, name: str) -> None:
        self._course.go_on()
        if decision is None:
            why = await self._record_expiry(name, wanted)
            await self._course.end(Stop(why=why, by="engine", state=RunState.FAILED))
        else:
            await self._record_word(decision, wanted)
            if not decision.approved:
                stop = Stop(why=_rejected(decision, name), by=decision.actor, state=RunState.CANCELLED)
                await self._course.end(stop)
        self._course.go_on()

    async def _record_expiry(self, what: str, wanted: ApprovalWanted) -> str:
        why = f"nobody approved {what} until {wanted.expires:%Y-%m-%d %H:%M} UTC"
        await self._course.record("approval.expired", digest=wanted.digest, why=why)
        return why

    async def _record_word(self, decision: Decision, wanted: ApprovalWanted) -> None:
        event = "plan.approved" if decision.approved else "plan.rejected"
        await self._course.record(event, actor=decision.actor, digest=wanted.digest, reason=decision.reason)


def _rejected(decision: Decision, what: str) -> str:
    return f"{decision.actor} rejected {what}" + (f": {decision.reason}" if decision.reason else "")
