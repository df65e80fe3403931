"""One execution of a policy, told as a story: prepare, work in stages, look, account for every file."""

import asyncio

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from workflows.accounting import Account, root_cause
    from workflows.adapting import SlotsStep
    from workflows.agreement import objection
    from workflows.approvals import Approvals
    from workflows.breaking import BreakerChange
    from workflows.campaign import Campaign
    from workflows.course import FINAL_PHASES, Course, Expired, Refused, Stopped
    from workflows.helm import Helm
    from workflows.preparing import Preparation
    from workflows.promises import hearers
    from workflows.run import (
        Cancelling,
        Decision,
        Draining,
        NewLimits,
        Pausing,
        Person,
        Phase,
        Resuming,
        RetryingFailed,
        RunReport,
        RunRequest,
        RunState,
        RunStatus,
        SkippingStage,
        SoFar,
        Stop,
    )
    from workflows.segments import Segments
    from workflows.steering import ADAPTED, BREAKER, SEGMENT_DRAINS
    from workflows.verdict import shown_state, waits_for


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RunPolicy:
    """Runs one policy once, from its start to the last file's outcome."""

    @workflow.init
    def __init__(self, request: RunRequest) -> None:
        if not request.run:
            request = request.model_copy(update={"run": workflow.info().workflow_id})
        self._request = request
        self._policy = request.policy
        self._segments = Segments(request.run, request.policy, urgent=request.urgent)
        self._course = Course(request.run, self._segments, self._announce)
        self._helm = Helm(request, self._course, self._segments)
        self._preparation = Preparation(request, self._course)
        self._approvals = Approvals(request, self._course)
        self._campaign = Campaign(
            request, self._course, self._segments, self._helm, self._approvals, self._continue_with_a_fresh_history
        )
        self._account = Account(request, self._course, self._segments, self._campaign)
        if request.so_far is not None:
            self._go_on(request.so_far)

    @workflow.run
    async def run(self, request: RunRequest) -> RunReport:
        """Tell the story to its end, also when the engine itself is asked to cancel the run."""
        story = asyncio.create_task(self._story())
        try:
            return await asyncio.shield(story)
        except asyncio.CancelledError:
            await self._course.end(Stop(why="cancelled in Temporal", by="temporal", state=RunState.CANCELLED))
            return await story

    async def _story(self) -> RunReport:
        course = self._course
        deadline = asyncio.create_task(
            course.keep_deadline(self._policy.run.deadline, lambda: self._approvals.is_asking)
        )
        try:
            if self._request.so_far is None:
                await self._prepare()
            await self._work()
            await self._account.look_where_the_files_are()
        except Stopped:
            pass
        except Refused as refusal:
            course.state, course.trouble = RunState.REFUSED, str(refusal)
        except Expired as expiry:
            course.state, course.trouble = RunState.EXPIRED, str(expiry)
        except (ActivityError, ChildWorkflowError) as error:
            course.trouble = root_cause(error)
        await self._account.of_every_file(self._preparation.plan)
        deadline.cancel()
        return await self._end()

    async def _prepare(self) -> None:
        prepare = self._preparation
        await self._course.record("run.started", actor=self._request.actor, **self._why_it_runs())
        await prepare.check_the_hub()
        await prepare.list_the_namespace()
        await prepare.make_the_plan()
        await prepare.meet_the_guards()
        await self._approvals.of_plan(prepare.planned, prepare.exceeded, prepare.still_fits)

    async def _work(self) -> None:
        self._course.phase = Phase.WORK
        await self._helm.keep_windows()
        await self._campaign.work(self._preparation.planned)

    async def _end(self) -> RunReport:
        report = self._account.report(self._preparation.plan, self._preparation.problems)
        await self._course.record(
            "run.ended", **report.model_dump(mode="json", exclude={"plan", "run", "rounds", "stages"})
        )
        workflow.upsert_memo({"state": str(report.state)})
        await workflow.wait_condition(workflow.all_handlers_finished)
        return report

    # What people ask and say while it runs.

    @workflow.query
    def status(self) -> RunStatus:
        """Where the run stands; counts of open segments are theirs to tell."""
        course, campaign, steering = self._course, self._campaign, self._segments.steering
        wanted, pausers = self._approvals.gate.wanted, self._helm.pausers
        held = self._helm.holds_back if course.phase is Phase.WORK else None
        stage = campaign.stages.waits_for
        return RunStatus(
            run=self._request.run,
            policy=self._policy.name,
            state=shown_state(course.phase, course.state, steering, course.next_try, held),
            phase=course.phase,
            waits_for=waits_for(course.phase, steering, course.next_try, wanted, pausers.standing, stage, held),
            actor=self._request.actor,
            reason=self._request.reason,
            version=self._request.version,
            approval=wanted,
            paused_by=pausers.names,
            pausers=pausers.standing,
            plan=self._preparation.plan,
            inventory_problems=self._preparation.problems,
            stages=campaign.stages.records(campaign.rounds),
            rounds=tuple(campaign.rounds),
            counts=self._account.outcomes or campaign.before.plus(self._segments.counts),
            jobs=self._segments.jobs,
            open_segments=self._segments.names,
            concurrency=steering.slots,
            bounds=self._segments.bounds if self._helm.asked_slots is None else None,
            adapted=self._helm.adapted if self._helm.asked_slots is None else None,
            rate=steering.rate,
            opening=steering.opening,
            breaker=self._helm.breaker,
            started=course.started,
            work_started=campaign.began,
            finished=self._account.finished,
            next_try=course.next_try,
            trouble=course.trouble,
        )

    @workflow.update
    async def decide(self, decision: Decision) -> RunStatus:
        """Take a person's word on the plan that waits; answer when the run has acted on it, or will when resumed."""
        await self._approvals.gate.decide(decision, lambda: self._segments.steering.paused_by is not None)
        return self.status()

    @decide.validator
    def _may_decide(self, decision: Decision) -> None:
        self._refuse_when_over()
        gate = self._approvals.gate
        why = "somebody else decides at this moment" if gate.decided else objection(gate.wanted, decision)
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
    async def hurry(self, person: Person) -> RunStatus:
        """Mind neither windows nor rates from now on, since a pool has become critical."""
        await self._helm.hurry(person)
        return self.status()

    @workflow.update
    async def cancel(self, person: Cancelling) -> RunStatus:
        """Begin nothing more, cancel the Hub's jobs in flight or let them end, and account for every file."""
        why = f"cancelled by {person.actor}" + (f": {person.reason}" if person.reason else "")
        stop = Stop(why=why, by=person.actor, state=RunState.CANCELLED, keep_jobs=person.keep_jobs)
        await self._course.end(stop, reason=person.reason)
        return self.status()

    @workflow.update
    async def skip_stage(self, skipping: SkippingStage) -> RunStatus:
        """Leave the stage out that waits, or a later one; its files go on to the stage behind it."""
        number = self._campaign.stages.skip(skipping.number)
        await self._course.record("stage.skipped", actor=skipping.actor, stage=number, reason=skipping.reason)
        return self.status()

    @workflow.update
    async def retry_failed(self, asking: RetryingFailed) -> RunStatus:
        """Try failed files of the stage that is at work again, in a further round."""
        await self._campaign.retry_failed(asking)
        return self.status()

    @retry_failed.validator
    def _may_retry_failed(self, asking: RetryingFailed) -> None:
        self._refuse_when_over()
        if why := self._campaign.objection_to_retry():
            raise ApplicationError(f"run {self._request.run}: {why}", type="NotPossible", non_retryable=True)

    @skip_stage.validator
    def _may_skip_stage(self, skipping: SkippingStage) -> None:
        self._refuse_when_over()
        if why := self._campaign.stages.objection(skipping.number):
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

    @hurry.validator
    def _may_hurry(self, person: Person) -> None:
        self._refuse_when_over()

    @set_limits.validator
    def _may_set_limits(self, limits: NewLimits) -> None:
        self._refuse_when_over()
        self._helm.refuse(limits)

    @workflow.signal(name=SEGMENT_DRAINS)
    async def segment_drains(self, draining: Draining) -> None:
        """Let the next segment have the slots that this one does not need any more."""
        await self._segments.draining(draining)

    @workflow.signal(name=BREAKER)
    async def breaker(self, change: BreakerChange) -> None:
        """Hear from a segment how the breaker stands now."""
        await self._helm.breaker_changed(change)

    @workflow.signal(name=ADAPTED)
    async def adapted(self, step: SlotsStep) -> None:
        """Hear from a segment that more or fewer jobs are better."""
        await self._helm.adapt(step)

    # A fresh history.

    async def _continue_with_a_fresh_history(self) -> None:
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and self._helm.is_quiet)
        course, campaign = self._course, self._campaign
        assert campaign.began is not None
        so_far = SoFar(
            plan=self._preparation.planned,
            inventory_problems=self._preparation.problems,
            rounds=tuple(campaign.rounds),
            next_batch=campaign.next_batch,
            counts=self._segments.counts,
            jobs=self._segments.jobs,
            steering=self._segments.steering,
            started=course.started,
            work_started=campaign.began,
            waited_for_approval=course.waited_for_approval,
            pausers=self._helm.pausers.standing,
            pace=self._segments.pace,
            breaker=self._helm.breaker,
            window=self._helm.window,
            asked_slots=self._helm.asked_slots,
            adapted=self._helm.adapted,
            asked=campaign.asked,
            stage=campaign.stages.number,
            skipped_stages=campaign.stages.skipped,
            before=campaign.before,
        )
        workflow.continue_as_new(self._request.model_copy(update={"so_far": so_far}))

    def _go_on(self, so_far: SoFar) -> None:
        self._preparation.plan, self._preparation.problems = so_far.plan, so_far.inventory_problems
        self._segments.go_on(so_far.counts, so_far.jobs, so_far.steering, so_far.pace)
        self._helm.go_on(so_far)
        self._campaign.go_on(so_far)
        self._course.started, self._course.waited_for_approval = so_far.started, so_far.waited_for_approval

    def _announce(self) -> None:
        """Let lists of runs show the state."""
        workflow.upsert_memo({"state": str(self.status().state)})

    def _refuse_when_over(self) -> None:
        if self._course.phase in FINAL_PHASES:
            raise ApplicationError(f"run {self._request.run} is over", type="RunOver", non_retryable=True)

    def _why_it_runs(self) -> dict[str, object]:
        return {
            "reason": self._request.reason,
            "policy": self._policy.name,
            "policy_digest": self._policy.digest,
            "version": self._request.version,
            "site": self._policy.one_site,
            **({"retries": self._request.retries.run} if self._request.retries is not None else {}),
            **hearers(self._policy),
        }
