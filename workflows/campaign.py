"""The work of a run: stage after stage over the same plan, each in rounds, until nothing is left to try."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.outcomes import NextRound, NextStage, Outcomes, RoundRef
    from activities.preflight import PreflightRequest
    from activities.quarantining import Quarantining, SetAsideRequest
    from activities.retried import AskedRound, Retried
    from workflows.approvals import Approvals
    from workflows.control import ladder_wait, permanent_reasons, quarantined, tried_again
    from workflows.course import Course
    from workflows.helm import Helm
    from workflows.options import LONG_READ
    from workflows.plan import OutcomeCounts, Plan
    from workflows.run import RetryingFailed, RoundRecord, RunRequest, SoFar
    from workflows.running import stage_said
    from workflows.segments import Segments
    from workflows.stages import Stages, ended_in, rounds_of, stage_approval, went_on

NamedRounds = tuple[tuple[int, str, int], ...]


class Campaign:
    """Works through the stages; `rounds` are those that began, `before` counts what ended for good in earlier stages.

    `renew` is called at a moment at which the run can go on with a fresh history; it does not come back.
    """

    def __init__(
        self,
        request: RunRequest,
        course: Course,
        segments: Segments,
        helm: Helm,
        approvals: Approvals,
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self.stages = Stages(request.policy)
        self.rounds: list[RoundRecord] = []
        self.before = OutcomeCounts()
        self.next_batch = 0
        self.began: datetime | None = None
        self.asked: tuple[RetryingFailed, ...] = ()
        self._hears = False
        self._run = request.run
        self._policy = request.policy
        self._course = course
        self._segments = segments
        self._helm = helm
        self._approvals = approvals
        self._renew = renew

    def go_on(self, so_far: SoFar) -> None:
        """Take over what held at the end of the history before."""
        self.stages = Stages(self._policy, so_far.stage, so_far.skipped_stages)
        self.rounds, self.next_batch = list(so_far.rounds), so_far.next_batch
        self.stages.working = any(record.stage == so_far.stage for record in so_far.rounds)
        self.before, self.began = so_far.before, so_far.work_started
        self.asked = so_far.asked

    async def work(self, plan: Plan) -> None:
        """Work through the stages, one after the other."""
        self.began = self.began or workflow.now()
        while not self.stages.over:
            if self.stages.leaves_out:
                pass
            elif self.stages.current.wait is not None:
                await self._wait_for_stage(self.stages.current.wait)
            elif await self._begin_stage(plan):
                await self._work_in_rounds()
                await self._end_stage()
            self.stages.next()

    def objection_to_retry(self) -> str | None:
        """Say why failed files cannot be tried again now; None when they can."""
        if self._hears and not self._course.stop:
            return None
        return "no stage is at work: when the run has ended, its failed files can be tried again in a new one"

    async def retry_failed(self, asking: RetryingFailed) -> None:
        """Try failed files of the stage again behind the round that is on, or at once while the ladder waits."""
        self.asked = (*self.asked, asking)
        said = {"stage": self.stages.number, "error": asking.error or None, "reason": asking.reason}
        await self._course.record("run.retry_asked", actor=asking.actor, **said)

    # Stages.

    async def _begin_stage(self, plan: Plan) -> bool:
        """Open the first round of the stage; False when nothing is left for it, or somebody left it out."""
        self._segments.order = self.stages.order
        self._helm.keep_to_health(self._needs())
        if self.rounds and self.rounds[-1].stage == self.stages.number:  # It goes on with a fresh history.
            self.stages.working = True
            return True
        ref = await self._files_of_the_stage(plan)
        if self.stages.is_campaign:
            why = stage_approval(self.stages)
            if self.stages.number > 1 and why is not None and ref.files:  # The word on the plan was the first stage's.
                await self._approvals.of_stage(ref, self.stages.name, why, lambda: self.stages.leaves_out)
            if self.stages.leaves_out or not ref.files:
                return False
            self._count_anew()
            await self._tell_of_stage("stage.started", files=ref.files, bytes=ref.bytes)
            await self._helm.begin_stage(self.stages.concurrency)
        else:
            self._count_anew()
        await self._open_round(ref)
        return True

    def _needs(self) -> PreflightRequest:
        order = self.stages.order
        return PreflightRequest(run=self._run, site=order.site, workflow=order.workflow, queue=order.queue)

    async def _files_of_the_stage(self, plan: Plan) -> RoundRef:
        if not self.rounds:
            return RoundRef.model_validate({**plan.model_dump(), "round": 1})
        request = NextStage(
            run=self._run,
            round=self.rounds[-1].number + 1,
            plan=plan.manifest,
            before=named(rounds_of(self.rounds, self.rounds[-1].stage)),
            batch=self._policy.run.batch,
        )
        next_stage = workflow.start_activity_method(Outcomes.next_stage, request, **LONG_READ)
        return await self._course.unless_stopped(next_stage)

    def _count_anew(self) -> None:
        self.before = self.before.plus(ended_in(self._segments.counts))
        self._segments.counts = OutcomeCounts()
        self.stages.working = True

    async def _end_stage(self) -> None:
        if self.stages.is_campaign:
            await self._tell_of_stage("stage.ended", outcomes=self._segments.counts.model_dump())

    async def _wait_for_stage(self, wait: timedelta) -> None:
        """Wait as long as the stage says, unless somebody leaves it out or nothing is left to wait for."""
        if not went_on(self._segments.counts):
            return
        until = workflow.now() + wait
        self.stages.until = self._course.next_try = until
        await self._tell_of_stage("stage.started", until=until.isoformat())
        self._course.announce()
        await self._course.until(lambda: self.stages.leaves_out, until)
        self.stages.until = None
        self._course.announce()
        await self._tell_of_stage("stage.ended")

    async def _tell_of_stage(self, event: str, **body: object) -> None:
        said = {"stage": self.stages.number, "what": stage_said(self.stages.current), **body}
        await self._course.record(event, actor="engine", **said)

    # Rounds.

    async def _work_in_rounds(self) -> None:
        self._hears = True
        while self.rounds[-1].files:
            await self._run_round(self.rounds[-1])
            await self._set_aside(self.rounds[-1])
            if not (await self._open_asked_round() or await self._open_next_round()):
                break
        self._hears = False

    async def _open_next_round(self) -> bool:
        """Wait as the ladder says, and open the round of what may be tried again; False when nothing is."""
        tries = len(rounds_of(self.rounds, self.stages.number))
        wait = ladder_wait(self._policy.retry.failed_files, tries)
        failed = None if wait is None else await self._failed_ones(self.rounds[-1])
        if wait is None or failed is None or not failed.files:
            return await self._open_asked_round()
        await self._course.until(lambda: bool(self.asked), workflow.now() + wait)
        self._segments.begin_again()
        await self._open_round(failed)
        return True

    async def _open_asked_round(self) -> bool:
        """Open a round of what people want tried again; False when nobody does, or there is no such file."""
        asked, self.asked = self.asked, ()
        if not asked:
            return False
        of_stage = rounds_of(self.rounds, self.stages.number)
        request = AskedRound(
            run=self._run,
            rounds=named(of_stage),
            errors=tuple(dict.fromkeys(one.error for one in asked)),
            permanent=tuple(sorted(permanent_reasons(self._policy.retry))),
            ladder=ladder_wait(self._policy.retry.failed_files, len(of_stage)) is not None,
            batch=self._policy.run.batch,
        )
        make = workflow.start_activity_method(Retried.asked_round, request, **LONG_READ)
        ref = await self._course.unless_stopped(make)
        if not ref.files:
            return await self._open_asked_round()
        self._segments.counts = tried_again(self._segments.counts, ref.reasons)
        await self._open_round(ref, asked=", ".join(dict.fromkeys(one.actor for one in asked)))
        return True

    async def _open_round(self, ref: RoundRef, asked: str | None = None) -> None:
        record = RoundRecord(
            number=ref.round,
            manifest=ref.manifest,
            files=ref.files,
            batches=ref.batches,
            stage=self.stages.number,
            asked=asked,
            head_sha256=ref.head_sha256,
        )
        self.rounds.append(record)
        self.next_batch = 0
        await self._course.record("round.started", **record.model_dump(mode="json"))

    async def _run_round(self, record: RoundRecord) -> None:
        left = await self._segments.run_round(record, self.next_batch)
        self._course.go_on()
        if left is not None:
            self.next_batch = left
            await self._renew()

    async def _failed_ones(self, record: RoundRecord) -> RoundRef:
        request = NextRound(
            run=self._run,
            round=record.number,
            manifest=record.manifest,
            batches=record.batches,
            retry=self._policy.retry,
            batch=self._policy.run.batch,
        )
        next_round = workflow.start_activity_method(Outcomes.next_round, request, **LONG_READ)
        return await self._course.unless_stopped(next_round)

    async def _set_aside(self, record: RoundRecord) -> None:
        rule = self._policy.retry.quarantine
        if rule is None:
            return
        request = SetAsideRequest(
            run=self._run,
            round=record.number,
            manifest=record.manifest,
            batches=record.batches,
            site=self._policy.one_site,
            after=rule.after,
            lasting=rule.until,
        )
        set_aside = workflow.start_activity_method(Quarantining.set_aside, request, **LONG_READ)
        found = await self._course.unless_stopped(set_aside)
        self._segments.counts = quarantined(self._segments.counts, found.reasons)


def named(rounds: Sequence[RoundRecord]) -> NamedRounds:
    """Give the rounds as activities take them: number, manifest, batches."""
    return tuple((record.number, record.manifest, record.batches) for record in rounds)
