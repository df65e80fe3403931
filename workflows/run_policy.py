"""One execution of a policy, told as a story: check, list, plan, guard, work in rounds, account for every file."""

import asyncio
from datetime import datetime, timedelta
from typing import NoReturn, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit, AuditRecord
    from activities.inventory import Inventories, InventoryRef, InventoryRequest
    from activities.outcomes import CloseRequest, NextRound, Outcomes, RoundRef, Unreached
    from activities.plan_checks import FitRequest, PlanChecks, UsualRequest
    from activities.preflight import Preflight, PreflightRequest
    from activities.reconciling import ReconcileRequest, Reconciliation
    from activities.selection import PlanRequest, Plans
    from workflows.agreement import approval_reason, approves_itself, objection
    from workflows.control import caps, excess, ladder_wait, stale
    from workflows.gate import Gate
    from workflows.options import CHECK, LONG_READ, PREFLIGHT, RECORD
    from workflows.pausing import Pausers
    from workflows.plan import OutcomeCounts, Plan, UsualPlan
    from workflows.run import (
        ApprovalWanted,
        Decision,
        Draining,
        Pauser,
        Pausing,
        Person,
        Phase,
        Resuming,
        RoundRecord,
        RunReport,
        RunRequest,
        RunState,
        RunStatus,
        SoFar,
        Stop,
    )
    from workflows.segments import Segments
    from workflows.steering import SEGMENT_DRAINS
    from workflows.verdict import shown_state, verdict, waits_for

Value = TypeVar("Value")
FINAL_PHASES = (Phase.REPORT, Phase.OVER)
NOTHING_BEGAN = (RunState.REFUSED, RunState.EXPIRED)
LAST_LOOK = "last look"
"""The patch with which a run that verifies asks once more, after its last round, where the files are."""
SEVERAL_PAUSERS = "several pausers"
"""The patch with which a run that is paused hears of a further pause; before, only the first one counted."""


class Stopped(Exception):
    """Somebody or the deadline stopped the run; what was planned is still accounted for."""


class Refused(Exception):
    """A guard, or the person who was asked, does not let this plan run; nothing has moved."""


class Expired(Exception):
    """Nobody approved the plan in time; nothing has moved."""


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RunPolicy:
    """Runs one policy once, from its start to the last file's outcome."""

    @workflow.init
    def __init__(self, request: RunRequest) -> None:
        if not request.run:
            request = request.model_copy(update={"run": workflow.info().workflow_id})
        self._request = request
        self._policy = request.policy
        self._state = RunState.RUNNING
        self._phase = Phase.PREFLIGHT
        self._problems = 0
        self._segments = Segments(request.run, request.policy)
        self._inventory: InventoryRef | None = None
        self._usual: UsualPlan | None = None
        self._plan: Plan | None = None
        self._gate = Gate()
        self._pausers = Pausers()
        self._rounds: list[RoundRecord] = []
        self._next_batch = 0
        self._outcomes: OutcomeCounts | None = None
        self._outcomes_digest: str | None = None
        self._trouble: str | None = None
        self._next_try: datetime | None = None
        self._started = workflow.now()
        self._work_started: datetime | None = None
        self._waited_for_approval = timedelta(0)
        self._finished: datetime | None = None
        if request.so_far is not None:
            self._go_on(request.so_far)

    @workflow.run
    async def run(self, request: RunRequest) -> RunReport:
        """Tell the story to its end, also when the engine itself is asked to cancel the run."""
        story = asyncio.create_task(self._story())
        try:
            return await asyncio.shield(story)
        except asyncio.CancelledError:
            await self._stop(Stop(why="cancelled in Temporal", by="temporal", state=RunState.CANCELLED))
            return await story

    async def _story(self) -> RunReport:
        deadline = asyncio.create_task(self._keep_deadline())
        try:
            if self._request.so_far is None:
                await self._prepare()
            await self._work_in_rounds()
            await self._look_where_the_files_are()
        except Stopped:
            pass
        except Refused as refusal:
            self._state, self._trouble = RunState.REFUSED, str(refusal)
        except Expired as expiry:
            self._state, self._trouble = RunState.EXPIRED, str(expiry)
        except (ActivityError, ChildWorkflowError) as error:
            self._trouble = _root_cause(error)
        await self._account_for_every_file()
        deadline.cancel()
        return await self._end()

    # The story's sentences, in order.

    async def _prepare(self) -> None:
        await self._record("run.started", actor=self._request.actor, **self._why_it_runs())
        await self._check_the_hub()
        await self._list_the_namespace()
        await self._make_the_plan()
        await self._meet_the_guards()
        await self._wait_for_approval()

    async def _check_the_hub(self) -> None:
        run = self._policy.run
        request = PreflightRequest(
            run=self._request.run, site=self._policy.one_site, workflow=run.hub_workflow, queue=run.queue
        )
        await self._unless_stopped(workflow.start_activity_method(Preflight.check_hub, request, **PREFLIGHT))

    async def _list_the_namespace(self) -> None:
        self._phase = Phase.INVENTORY
        select = self._policy.select
        request = InventoryRequest(
            name=self._request.run, site=self._policy.one_site, source=select.source, paths=select.paths
        )
        self._inventory = await self._unless_stopped(
            workflow.start_activity_method(Inventories.take_inventory, request, **LONG_READ)
        )
        self._problems = self._inventory.problems

    async def _make_the_plan(self) -> None:
        self._phase = Phase.PLAN
        plan = await self._planned(None, None)
        guards = self._policy.guards
        if guards.unusual is not None:
            request = UsualRequest(policy=self._policy.name, runs=guards.unusual.runs)
            self._usual = await self._unless_stopped(
                workflow.start_activity_method(PlanChecks.usual_plan, request, **CHECK)
            )
        if guards.on_exceed == "truncate" and excess(plan, guards, self._usual):
            plan = await self._planned(*caps(plan, guards, self._usual))
        self._plan = plan
        await self._record(
            "plan.made",
            policy=self._policy.name,
            **plan.model_dump(mode="json"),
            inventory_problems=self._problems,
        )

    async def _meet_the_guards(self) -> None:
        plan, guards = self._the_plan(), self._policy.guards
        why = stale(plan, guards, now_us=_micros())
        if guards.on_exceed != "ask":
            why = excess(plan, guards, self._usual) or why
        if why:
            await self._refuse(why)

    async def _wait_for_approval(self) -> None:
        plan, approval = self._the_plan(), self._policy.approval
        exceeded = excess(plan, self._policy.guards, self._usual)
        why = approval_reason(self._policy, plan, exceeded)
        if why is None:
            return
        if exceeded is None and approves_itself(approval.auto, plan):
            await self._record("plan.approved", digest=plan.digest, reason="it is within approval.auto of the policy")
            return
        self._phase = Phase.APPROVAL
        wanted = ApprovalWanted(
            digest=plan.digest,
            files=plan.files,
            bytes=plan.bytes,
            why=why,
            since=workflow.now(),
            expires=workflow.now() + approval.expires,
            not_by=self._request.actor if approval.not_by_owner else None,
        )
        await self._record("approval.wanted", **wanted.model_dump(mode="json"))
        workflow.upsert_memo({"state": str(RunState.WAITING)})
        try:
            await self._heed(await self._gate.wait(wanted, lambda: self._segments.steering.stop is not None), wanted)
        finally:
            self._waited_for_approval = workflow.now() - wanted.since
            self._gate.close()
        workflow.upsert_memo({"state": str(RunState.RUNNING)})

    async def _work_in_rounds(self) -> None:
        self._phase = Phase.WORK
        self._work_started = self._work_started or workflow.now()
        if not self._rounds:
            plan = self._the_plan()
            await self._open_round(
                RoundRecord(number=1, manifest=plan.manifest, files=plan.files, batches=plan.batches)
            )
        while self._rounds[-1].files:
            await self._run_round(self._rounds[-1])
            wait = ladder_wait(self._policy.retry.failed_files, self._rounds[-1].number)
            if wait is None:
                return
            failed = await self._failed_ones(self._rounds[-1])
            if not failed.files:
                return
            await self._sleep(wait)
            await self._open_round(
                RoundRecord(number=failed.round, manifest=failed.manifest, files=failed.files, batches=failed.batches)
            )

    async def _look_where_the_files_are(self) -> None:
        run = self._policy.run
        if run.verify != "status" or not self._segments.jobs or not workflow.patched(LAST_LOOK):
            return
        self._phase = Phase.VERIFY
        request = ReconcileRequest(
            run=self._request.run, site=self._policy.one_site, workflow=run.hub_workflow, rounds=self._rounds_so_far()
        )
        await self._unless_stopped(workflow.start_activity_method(Reconciliation.reconcile, request, **LONG_READ))

    async def _account_for_every_file(self) -> None:
        self._phase = Phase.REPORT
        if self._plan is None or self._state in NOTHING_BEGAN:
            return
        request = CloseRequest(
            run=self._request.run,
            plan=self._plan.manifest,
            rounds=self._rounds_so_far(),
            unreached=self._unreached(),
        )
        try:
            closed = await workflow.execute_activity_method(Outcomes.close_outcomes, request, **LONG_READ)
        except ActivityError as error:
            self._trouble = self._trouble or _root_cause(error)
            return
        self._outcomes, self._outcomes_digest = closed.counts, closed.digest

    async def _end(self) -> RunReport:
        self._finished = workflow.now()
        self._state, self._trouble = verdict(
            ended_early=self._state if self._state in NOTHING_BEGAN else None,
            stop=self._segments.steering.stop,
            trouble=self._trouble,
            plan=self._plan,
            outcomes=self._outcomes or OutcomeCounts(),
        )
        self._phase = Phase.OVER
        report = RunReport(
            run=self._request.run,
            policy=self._policy.name,
            version=self._request.version,
            state=self._state,
            plan=self._plan,
            inventory_problems=self._problems,
            outcomes=self._outcomes or OutcomeCounts(),
            outcomes_digest=self._outcomes_digest,
            rounds=tuple(self._rounds),
            jobs=self._segments.jobs,
            trouble=self._trouble,
            started=self._started,
            finished=self._finished,
        )
        await self._record("run.ended", **report.model_dump(mode="json", exclude={"plan", "run", "rounds"}))
        workflow.upsert_memo({"state": str(self._state)})
        await workflow.wait_condition(workflow.all_handlers_finished)
        return report

    # What people ask and say while it runs.

    @workflow.query
    def status(self) -> RunStatus:
        """Where the run stands; counts of open segments are theirs to tell."""
        return RunStatus(
            run=self._request.run,
            policy=self._policy.name,
            state=shown_state(self._phase, self._state, self._segments.steering, self._next_try),
            phase=self._phase,
            waits_for=waits_for(
                self._phase, self._segments.steering, self._next_try, self._gate.wanted, self._pausers.standing
            ),
            actor=self._request.actor,
            reason=self._request.reason,
            version=self._request.version,
            approval=self._gate.wanted,
            paused_by=self._pausers.names,
            pausers=self._pausers.standing,
            plan=self._plan,
            inventory_problems=self._problems,
            rounds=tuple(self._rounds),
            counts=self._outcomes or self._segments.counts,
            jobs=self._segments.jobs,
            open_segments=self._segments.names,
            concurrency=self._segments.steering.slots,
            started=self._started,
            work_started=self._work_started,
            finished=self._finished,
            next_try=self._next_try,
            trouble=self._trouble,
        )

    @workflow.update
    async def decide(self, decision: Decision) -> RunStatus:
        """Take a person's word on the plan that waits, and answer when the run has acted on it."""
        await self._gate.decide(decision)
        return self.status()

    @decide.validator
    def _may_decide(self, decision: Decision) -> None:
        self._refuse_when_over()
        why = "somebody else decides at this moment" if self._gate.decided else objection(self._gate.wanted, decision)
        if why:
            raise ApplicationError(f"run {self._request.run}: {why}", type="NotYours", non_retryable=True)

    @workflow.update
    async def pause(self, pausing: Pausing) -> RunStatus:
        """Begin nothing more until everybody who pauses it resumes; jobs in flight go on to their end."""
        first = not self._pausers
        if not first and not workflow.patched(SEVERAL_PAUSERS):
            return self.status()
        if self._pausers.add(pausing, workflow.now()):
            if first:
                await self._segments.steer(paused_by=pausing.actor)
                self._announce()
            said = {"reason": pausing.reason, "freeze": pausing.freeze}
            await self._record("run.paused", actor=pausing.actor, **said)
        return self.status()

    @workflow.update
    async def resume(self, resuming: Resuming) -> RunStatus:
        """Lift the pauses that are meant, and go on when no other one is left."""
        lifted = self._pausers.lift(resuming)
        if not lifted:
            return self.status()
        if not self._pausers:
            await self._segments.steer(paused_by=None)
            self._announce()
        said = {"reason": resuming.reason, "lifted": [one.name for one in lifted], "still": self._pausers.names}
        await self._record("run.resumed", actor=resuming.actor, **said)
        return self.status()

    @workflow.update
    async def cancel(self, person: Person) -> RunStatus:
        """Begin nothing more, cancel the Hub's jobs in flight, and account for every file."""
        why = f"cancelled by {person.actor}" + (f": {person.reason}" if person.reason else "")
        await self._stop(Stop(why=why, by=person.actor, state=RunState.CANCELLED), reason=person.reason)
        return self.status()

    @pause.validator
    def _may_pause(self, pausing: Pausing) -> None:
        self._refuse_when_over()

    @resume.validator
    def _may_resume(self, resuming: Resuming) -> None:
        self._refuse_when_over()

    @cancel.validator
    def _may_cancel(self, person: Person) -> None:
        self._refuse_when_over()

    @workflow.signal(name=SEGMENT_DRAINS)
    async def segment_drains(self, draining: Draining) -> None:
        """Let the next segment have the slots that this one does not need any more."""
        await self._segments.draining(draining.segment, draining.in_flight)

    # The gate.

    async def _heed(self, decision: Decision | None, wanted: ApprovalWanted) -> None:
        self._raise_if_stopped()
        if decision is None:
            why = f"nobody approved the plan until {wanted.expires:%Y-%m-%d %H:%M} UTC"
            await self._record("approval.expired", digest=wanted.digest, why=why)
            raise Expired(why)
        said = {"digest": wanted.digest, "reason": decision.reason}
        if not decision.approved:
            await self._record("plan.rejected", actor=decision.actor, **said)
            raise Refused(f"{decision.actor} rejected the plan" + (f": {decision.reason}" if decision.reason else ""))
        await self._record("plan.approved", actor=decision.actor, **said)
        request = FitRequest(policy=self._policy.name, version=self._request.version, plan=self._the_plan())
        unfit = await self._unless_stopped(workflow.start_activity_method(PlanChecks.misfit, request, **CHECK))
        unfit = unfit or stale(self._the_plan(), self._policy.guards, now_us=_micros())
        if unfit:
            await self._refuse(unfit)

    async def _refuse(self, why: str) -> NoReturn:
        await self._record("run.refused", why=why)
        raise Refused(why)

    # Rounds.

    async def _open_round(self, record: RoundRecord) -> None:
        self._rounds.append(record)
        self._next_batch = 0
        self._segments.begin_again()
        await self._record("round.started", **record.model_dump(mode="json"))

    async def _run_round(self, record: RoundRecord) -> None:
        left = await self._segments.run_round(record, self._next_batch)
        self._raise_if_stopped()
        if left is not None:
            self._next_batch = left
            await self._continue_with_a_fresh_history()

    async def _continue_with_a_fresh_history(self) -> NoReturn:
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self._plan is not None and self._work_started is not None
        so_far = SoFar(
            plan=self._plan,
            inventory_problems=self._problems,
            rounds=tuple(self._rounds),
            next_batch=self._next_batch,
            counts=self._segments.counts,
            jobs=self._segments.jobs,
            steering=self._segments.steering,
            started=self._started,
            work_started=self._work_started,
            waited_for_approval=self._waited_for_approval,
            pausers=self._pausers.standing,
        )
        workflow.continue_as_new(self._request.model_copy(update={"so_far": so_far}))

    def _go_on(self, so_far: SoFar) -> None:
        self._plan, self._problems = so_far.plan, so_far.inventory_problems
        self._rounds, self._next_batch = list(so_far.rounds), so_far.next_batch
        self._segments.go_on(so_far.counts, so_far.jobs, so_far.steering)
        paused_by = so_far.steering.paused_by
        if paused_by is not None and not so_far.pausers:  # It was paused before there could be several.
            self._pausers = Pausers((Pauser(actor=paused_by, since=workflow.now()),))
        else:
            self._pausers = Pausers(so_far.pausers)
        self._started, self._work_started = so_far.started, so_far.work_started
        self._waited_for_approval = so_far.waited_for_approval

    async def _failed_ones(self, record: RoundRecord) -> RoundRef:
        request = NextRound(
            run=self._request.run,
            round=record.number,
            manifest=record.manifest,
            batches=record.batches,
            retry=self._policy.retry,
            batch=self._policy.run.batch,
        )
        return await self._unless_stopped(workflow.start_activity_method(Outcomes.next_round, request, **LONG_READ))

    # Stopping, waiting, deadlines.

    async def _keep_deadline(self) -> None:
        limit = self._policy.run.deadline
        if limit is None:
            return
        while (left := self._started + limit + self._waited_for_approval - workflow.now()) > timedelta(0):
            await asyncio.sleep(left.total_seconds())
            await workflow.wait_condition(lambda: self._gate.wanted is None)
        await self._stop(Stop(why=f"run.deadline ({limit}) passed", by="engine", state=RunState.FAILED))

    async def _stop(self, stop: Stop, reason: str = "") -> None:
        if self._segments.steering.stop or self._phase in FINAL_PHASES:
            return
        await self._segments.steer(stop=stop)
        workflow.upsert_memo({"state": str(RunState.CANCELLING)})
        await self._record("run.stopped", actor=stop.by, why=stop.why, reason=reason)

    def _announce(self) -> None:
        """Let lists of runs show the state."""
        workflow.upsert_memo({"state": str(self.status().state)})

    def _raise_if_stopped(self) -> None:
        if self._segments.steering.stop:
            raise Stopped(self._segments.steering.stop.why)

    async def _unless_stopped(self, handle: workflow.ActivityHandle[Value]) -> Value:
        """Wait for an activity that a stop interrupts, and begin nothing while paused."""
        await workflow.wait_condition(lambda: handle.done() or self._segments.steering.stop is not None)
        if not handle.done():
            handle.cancel()
        try:
            value = await handle
        except ActivityError:
            self._raise_if_stopped()
            raise
        await workflow.wait_condition(
            lambda: self._segments.steering.stop is not None or self._segments.steering.paused_by is None
        )
        self._raise_if_stopped()
        return value

    async def _sleep(self, wait: timedelta) -> None:
        self._next_try = workflow.now() + wait
        try:
            await workflow.wait_condition(lambda: self._segments.steering.stop is not None, timeout=wait)
        except TimeoutError:
            pass
        finally:
            self._next_try = None
        self._raise_if_stopped()

    # Answers.

    async def _planned(self, files: int | None, size: int | None) -> Plan:
        assert self._inventory is not None
        request = PlanRequest(
            run=self._request.run,
            policy=self._policy,
            inventory=self._inventory,
            as_of_us=self._as_of_us(),
            cap_files=files,
            cap_bytes=size,
            enough_bytes=self._request.enough_bytes,
            room_bytes=self._request.room_bytes,
            tried_in=self._request.tried_in,
        )
        return await self._unless_stopped(workflow.start_activity_method(Plans.make_plan, request, **LONG_READ))

    def _the_plan(self) -> Plan:
        assert self._plan is not None
        return self._plan

    def _rounds_so_far(self) -> tuple[tuple[int, str, int], ...]:
        return tuple((record.number, record.manifest, record.batches) for record in self._rounds)

    def _as_of_us(self) -> int:
        asked = self._request.as_of_us
        return asked if asked is not None else round(self._started.timestamp() * 1_000_000)

    def _unreached(self) -> Unreached | None:
        stop = self._segments.steering.stop
        if stop is not None:
            return Unreached(outcome="cancelled", message=stop.why)
        if self._trouble is not None:
            return Unreached(outcome="failed", reason="hub_error", message=self._trouble)
        return None

    def _refuse_when_over(self) -> None:
        if self._phase in FINAL_PHASES:
            raise ApplicationError(f"run {self._request.run} is over", type="RunOver", non_retryable=True)

    def _why_it_runs(self) -> dict[str, object]:
        return {
            "reason": self._request.reason,
            "policy": self._policy.name,
            "policy_digest": self._policy.digest,
            "version": self._request.version,
            "site": self._policy.one_site,
        }

    async def _record(self, event: str, *, actor: str = "engine", **body: object) -> None:
        key = f"{self._request.run}/{event}/{workflow.uuid4()}"
        record = AuditRecord(event=event, actor=actor, run=self._request.run, key=key, body=body)
        await workflow.execute_activity_method(Audit.record, record, **RECORD)


def _root_cause(error: BaseException) -> str:
    """Take the message of the innermost failure, which is the one that a person can act on."""
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    return str(error)


def _micros() -> int:
    return round(workflow.now().timestamp() * 1_000_000)
