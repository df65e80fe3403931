"""One execution of a policy, told as a story: check, list, plan, guard, work in rounds, account for every file."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NoReturn, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit, AuditRecord
    from activities.inventory import Inventories, InventoryRef, InventoryRequest
    from activities.outcomes import CloseRequest, NextRound, NextStage, Outcomes, RoundRef, Unreached
    from activities.plan_checks import FitRequest, PlanChecks, UsualRequest
    from activities.preflight import Preflight, PreflightRequest
    from activities.quarantining import Quarantining, SetAsideRequest
    from activities.reconciling import ReconcileRequest, Reconciliation
    from activities.selection import PlanRequest, Plans
    from workflows.agreement import approval_reason, approves_itself, objection, wanted_of
    from workflows.breaking import BreakerChange
    from workflows.control import caps, excess, ladder_wait, quarantined, stale
    from workflows.gate import Gate
    from workflows.helm import Helm
    from workflows.options import CHECK, LONG_READ, PREFLIGHT, RECORD
    from workflows.plan import OutcomeCounts, Plan, UsualPlan
    from workflows.run import (
        ApprovalWanted,
        Cancelling,
        Decision,
        Draining,
        NewLimits,
        Pauser,
        Pausing,
        Phase,
        Resuming,
        RoundRecord,
        RunReport,
        RunRequest,
        RunState,
        RunStatus,
        SkippingStage,
        SoFar,
        Stop,
    )
    from workflows.running import stage_said
    from workflows.segments import Segments
    from workflows.stages import Stages, ended_in, rounds_of, stage_approval, went_on
    from workflows.steering import BREAKER, SEGMENT_DRAINS
    from workflows.verdict import shown_state, verdict, waits_for

Value = TypeVar("Value")
FINAL_PHASES = (Phase.REPORT, Phase.OVER)
NOTHING_BEGAN = (RunState.REFUSED, RunState.EXPIRED)
LAST_LOOK = "last look"
"""The patch with which a run that verifies asks once more, after its last round, where the files are."""


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
        self._segments = Segments(request.run, request.policy, urgent=request.urgent)
        self._helm = Helm(
            request.policy,
            self._segments,
            urgent=request.urgent,
            announce=self._announce,
            record=self._record,
            stop=self._stop,
        )
        self._stages = Stages(request.policy)
        self._before = OutcomeCounts()
        self._inventory: InventoryRef | None = None
        self._usual: UsualPlan | None = None
        self._plan: Plan | None = None
        self._gate = Gate()
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
            await self._work_in_stages()
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
        for needs in self._needs_of_the_hub():
            await self._unless_stopped(workflow.start_activity_method(Preflight.check_hub, needs, **PREFLIGHT))

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
        wanted = self._wanted(plan, why)
        await self._record("approval.wanted", **wanted.model_dump(mode="json"))
        workflow.upsert_memo({"state": str(RunState.WAITING)})
        try:
            await self._heed(await self._gate.wait(wanted, lambda: self._segments.steering.stop is not None), wanted)
        finally:
            self._waited_for_approval = workflow.now() - wanted.since
            self._gate.close()
        workflow.upsert_memo({"state": str(RunState.RUNNING)})

    async def _work_in_stages(self) -> None:
        self._phase = Phase.WORK
        await self._helm.keep_windows()
        self._helm.keep_to_health(self._needs_of_the_hub())
        self._work_started = self._work_started or workflow.now()
        while not self._stages.over:
            if self._stages.leaves_out:
                pass
            elif self._stages.current.wait is not None:
                await self._wait_for_stage(self._stages.current.wait)
            elif await self._begin_stage():
                await self._work_in_rounds()
                await self._end_stage()
            self._stages.next()

    async def _work_in_rounds(self) -> None:
        while self._rounds[-1].files:
            await self._run_round(self._rounds[-1])
            await self._set_aside(self._rounds[-1])
            tries = len(rounds_of(self._rounds, self._stages.number))
            wait = ladder_wait(self._policy.retry.failed_files, tries)
            if wait is None:
                return
            failed = await self._failed_ones(self._rounds[-1])
            if not failed.files:
                return
            await self._sleep(wait)
            self._segments.begin_again()
            await self._open_round(failed)

    async def _look_where_the_files_are(self) -> None:
        run = self._policy.run
        if run.verify == "none" or not self._segments.jobs or not workflow.patched(LAST_LOOK):
            return
        self._phase = Phase.VERIFY
        last = rounds_of(self._rounds, self._rounds[-1].stage)
        request = ReconcileRequest(
            run=self._request.run,
            site=self._policy.one_site,
            workflow=run.steps[last[0].stage - 1].workflow or run.hub_workflow,
            rounds=_named(last),
        )
        await self._unless_stopped(workflow.start_activity_method(Reconciliation.reconcile, request, **LONG_READ))

    async def _account_for_every_file(self) -> None:
        self._phase = Phase.REPORT
        if self._plan is None or self._state in NOTHING_BEGAN:
            return
        request = CloseRequest(
            run=self._request.run,
            plan=self._plan.manifest,
            rounds=_named(self._rounds),
            passed=self._stages.passed(self._rounds),
            unreached=self._unreached(),
            site=self._policy.one_site,
            began_us=round(self._started.timestamp() * 1_000_000),
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
            stages=self._stages.records(self._rounds),
            rounds=tuple(self._rounds),
            jobs=self._segments.jobs,
            trouble=self._trouble,
            started=self._started,
            finished=self._finished,
        )
        await self._record("run.ended", **report.model_dump(mode="json", exclude={"plan", "run", "rounds", "stages"}))
        workflow.upsert_memo({"state": str(self._state)})
        await workflow.wait_condition(workflow.all_handlers_finished)
        return report

    # What people ask and say while it runs.

    @workflow.query
    def status(self) -> RunStatus:
        """Where the run stands; counts of open segments are theirs to tell."""
        pausers = self._helm.pausers
        held = self._helm.holds_back if self._phase is Phase.WORK else None
        return RunStatus(
            run=self._request.run,
            policy=self._policy.name,
            state=shown_state(self._phase, self._state, self._segments.steering, self._next_try, held),
            phase=self._phase,
            waits_for=waits_for(
                self._phase,
                self._segments.steering,
                self._next_try,
                self._gate.wanted,
                pausers.standing,
                self._stages.waits_for,
                held,
            ),
            actor=self._request.actor,
            reason=self._request.reason,
            version=self._request.version,
            approval=self._gate.wanted,
            paused_by=pausers.names,
            pausers=pausers.standing,
            plan=self._plan,
            inventory_problems=self._problems,
            stages=self._stages.records(self._rounds),
            rounds=tuple(self._rounds),
            counts=self._outcomes or self._before.plus(self._segments.counts),
            jobs=self._segments.jobs,
            open_segments=self._segments.names,
            concurrency=self._segments.steering.slots,
            rate=self._segments.steering.rate,
            opening=self._segments.steering.opening,
            breaker=self._helm.breaker,
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
        await self._helm.pause(pausing)
        return self.status()

    @workflow.update
    async def resume(self, resuming: Resuming) -> RunStatus:
        """Lift the pauses that are meant, and go on when no other one is left."""
        await self._helm.resume(resuming)
        return self.status()

    @workflow.update
    async def set_limits(self, limits: NewLimits) -> RunStatus:
        """Change concurrency, rate, or whether the windows hold, from the next batch on."""
        await self._helm.set_limits(limits)
        return self.status()

    @workflow.update
    async def cancel(self, person: Cancelling) -> RunStatus:
        """Begin nothing more, cancel the Hub's jobs in flight or let them end, and account for every file."""
        why = f"cancelled by {person.actor}" + (f": {person.reason}" if person.reason else "")
        stop = Stop(why=why, by=person.actor, state=RunState.CANCELLED, keep_jobs=person.keep_jobs)
        await self._stop(stop, reason=person.reason)
        return self.status()

    @workflow.update
    async def skip_stage(self, skipping: SkippingStage) -> RunStatus:
        """Leave the stage out that waits, or a later one; its files go on to the stage behind it."""
        number = self._stages.skip(skipping.number)
        await self._record("stage.skipped", actor=skipping.actor, stage=number, reason=skipping.reason)
        return self.status()

    @skip_stage.validator
    def _may_skip_stage(self, skipping: SkippingStage) -> None:
        self._refuse_when_over()
        if why := self._stages.objection(skipping.number):
            raise ApplicationError(f"run {self._request.run}: {why}", type="NotYours", non_retryable=True)

    @pause.validator
    def _may_pause(self, pausing: Pausing) -> None:
        self._refuse_when_over()

    @resume.validator
    def _may_resume(self, resuming: Resuming) -> None:
        self._refuse_when_over()

    @cancel.validator
    def _may_cancel(self, person: Cancelling) -> None:
        self._refuse_when_over()

    @set_limits.validator
    def _may_set_limits(self, limits: NewLimits) -> None:
        self._refuse_when_over()
        self._helm.refuse(limits)

    @workflow.signal(name=SEGMENT_DRAINS)
    async def segment_drains(self, draining: Draining) -> None:
        """Let the next segment have the slots that this one does not need any more."""
        await self._segments.draining(draining)
        for change in self._segments.changes():
            await self._helm.breaker_changed(change)

    @workflow.signal(name=BREAKER)
    async def breaker(self, change: BreakerChange) -> None:
        """Hear from a segment how the breaker stands now."""
        await self._helm.breaker_changed(change)

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

    def _wanted(self, what: Plan | RoundRef, why: str) -> ApprovalWanted:
        owner, now = self._request.actor, workflow.now()
        return wanted_of(self._policy, owner, now, digest=what.digest, files=what.files, size=what.bytes, why=why)

    async def _refuse(self, why: str) -> NoReturn:
        await self._record("run.refused", why=why)
        raise Refused(why)

    # Stages.

    async def _begin_stage(self) -> bool:
        """Open the first round of the stage; False when nothing is left for it, or somebody left it out."""
        self._segments.order = self._stages.order
        if self._rounds and self._rounds[-1].stage == self._stages.number:  # It goes on with a fresh history.
            self._stages.working = True
            return True
        ref = await self._files_of_the_stage()
        if self._stages.is_campaign:
            if self._stages.number > 1:  # The word on the plan was the first stage's.
                await self._wait_for_stage_approval(ref)
            if self._stages.leaves_out or not ref.files:
                return False
            self._stages.working = True
            await self._tell_of_stage("stage.started", files=ref.files, bytes=ref.bytes)
            await self._segments.steer(slots=self._stages.slots)
        self._before = self._before.plus(ended_in(self._segments.counts))
        self._segments.counts = OutcomeCounts()
        self._stages.working = True
        await self._open_round(ref)
        return True

    async def _files_of_the_stage(self) -> RoundRef:
        plan = self._the_plan()
        if not self._rounds:
            return RoundRef.model_validate({**plan.model_dump(), "round": 1})
        request = NextStage(
            run=self._request.run,
            round=self._rounds[-1].number + 1,
            plan=plan.manifest,
            before=_named(rounds_of(self._rounds, self._rounds[-1].stage)),
            batch=self._policy.run.batch,
        )
        return await self._unless_stopped(workflow.start_activity_method(Outcomes.next_stage, request, **LONG_READ))

    async def _end_stage(self) -> None:
        if self._stages.is_campaign:
            await self._tell_of_stage("stage.ended", outcomes=self._segments.counts.model_dump())

    async def _wait_for_stage(self, wait: timedelta) -> None:
        """Wait as long as the stage says, unless somebody leaves it out or nothing is left to wait for."""
        if not went_on(self._segments.counts):
            return
        until = workflow.now() + wait
        self._stages.until = self._next_try = until
        await self._tell_of_stage("stage.started", until=until.isoformat())
        self._announce()
        await self._until(lambda: self._stages.leaves_out, until)
        self._stages.until = None
        self._announce()
        await self._tell_of_stage("stage.ended")

    async def _wait_for_stage_approval(self, ref: RoundRef) -> None:
        why = stage_approval(self._stages)
        if why is None or not ref.files:
            return
        wanted = self._wanted(ref, why)
        self._phase = Phase.APPROVAL
        await self._record("approval.wanted", **wanted.model_dump(mode="json"))
        workflow.upsert_memo({"state": str(RunState.WAITING)})
        try:
            decision = await self._gate.wait(
                wanted, lambda: self._segments.steering.stop is not None or self._stages.leaves_out
            )
            if not self._stages.leaves_out:
                await self._heed_for_stage(decision, wanted)
        finally:
            self._waited_for_approval += workflow.now() - wanted.since
            self._gate.close()
        self._phase = Phase.WORK
        self._announce()

    async def _heed_for_stage(self, decision: Decision | None, wanted: ApprovalWanted) -> None:
        """Go on, or stop the run: files have moved in the stages before, so each of them still gets its outcome."""
        self._raise_if_stopped()
        name = self._stages.name
        if decision is None:
            why = f"nobody approved {name} until {wanted.expires:%Y-%m-%d %H:%M} UTC"
            await self._record("approval.expired", digest=wanted.digest, why=why)
            await self._stop(Stop(why=why, by="engine", state=RunState.FAILED))
        else:
            said = {"digest": wanted.digest, "reason": decision.reason}
            event = "plan.approved" if decision.approved else "plan.rejected"
            await self._record(event, actor=decision.actor, **said)
            if not decision.approved:
                why = f"{decision.actor} rejected {name}" + (f": {decision.reason}" if decision.reason else "")
                await self._stop(Stop(why=why, by=decision.actor, state=RunState.CANCELLED))
        self._raise_if_stopped()

    async def _tell_of_stage(self, event: str, **body: object) -> None:
        said = {"stage": self._stages.number, "what": stage_said(self._stages.current), **body}
        await self._record(event, actor="engine", **said)

    # Rounds.

    async def _open_round(self, ref: RoundRef) -> None:
        record = RoundRecord(
            number=ref.round,
            manifest=ref.manifest,
            files=ref.files,
            batches=ref.batches,
            stage=self._stages.number,
            head_sha256=ref.head_sha256,
        )
        self._rounds.append(record)
        self._next_batch = 0
        await self._record("round.started", **record.model_dump(mode="json"))

    async def _run_round(self, record: RoundRecord) -> None:
        left = await self._segments.run_round(record, self._next_batch)
        self._raise_if_stopped()
        if left is not None:
            self._next_batch = left
            await self._continue_with_a_fresh_history()

    async def _continue_with_a_fresh_history(self) -> NoReturn:
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and self._helm.is_quiet)
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
            pausers=self._helm.pausers.standing,
            pace=self._segments.pace,
            breaker=self._helm.breaker,
            window=self._helm.window,
            stage=self._stages.number,
            skipped_stages=self._stages.skipped,
            before=self._before,
        )
        workflow.continue_as_new(self._request.model_copy(update={"so_far": so_far}))

    def _go_on(self, so_far: SoFar) -> None:
        self._plan, self._problems = so_far.plan, so_far.inventory_problems
        self._rounds, self._next_batch = list(so_far.rounds), so_far.next_batch
        self._segments.go_on(so_far.counts, so_far.jobs, so_far.steering, so_far.pace)
        pausers, paused_by = so_far.pausers, so_far.steering.paused_by
        if paused_by is not None and not pausers:  # It was paused before there could be several.
            pausers = (Pauser(actor=paused_by, since=workflow.now()),)
        self._helm.go_on(pausers, so_far.breaker, window=so_far.window)
        self._stages = Stages(self._policy, so_far.stage, so_far.skipped_stages)
        self._before = so_far.before
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

    async def _set_aside(self, record: RoundRecord) -> None:
        rule = self._policy.retry.quarantine
        if rule is None:
            return
        request = SetAsideRequest(
            run=self._request.run,
            round=record.number,
            manifest=record.manifest,
            batches=record.batches,
            site=self._policy.one_site,
            after=rule.after,
            lasting=rule.until,
        )
        found = await self._unless_stopped(workflow.start_activity_method(Quarantining.set_aside, request, **LONG_READ))
        self._segments.counts = quarantined(self._segments.counts, found.reasons)

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
        await self._until(lambda: False, workflow.now() + wait)

    async def _until(self, enough: Callable[[], bool], moment: datetime) -> None:
        """Wait until a moment, until it is enough, or until the run is stopped, which is raised."""
        self._next_try = moment
        try:
            await workflow.wait_condition(
                lambda: self._segments.steering.stop is not None or enough(), timeout=moment - workflow.now()
            )
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

    def _needs_of_the_hub(self) -> tuple[PreflightRequest, ...]:
        return tuple(
            PreflightRequest(run=self._request.run, site=self._policy.one_site, workflow=hub_workflow, queue=queue)
            for hub_workflow, queue in self._policy.run.needs
        )

    def _the_plan(self) -> Plan:
        assert self._plan is not None
        return self._plan

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


def _named(rounds: Sequence[RoundRecord]) -> tuple[tuple[int, str, int], ...]:
    return tuple((record.number, record.manifest, record.batches) for record in rounds)


def _micros() -> int:
    return round(workflow.now().timestamp() * 1_000_000)
