"""The account of a run: where its files are in the end, one outcome for each of them, and the report."""

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.outcomes import CloseRequest, Outcomes, Unreached
    from activities.reconciling import ReconcileRequest, Reconciliation
    from workflows.campaign import Campaign, named
    from workflows.course import Course
    from workflows.options import LONG_READ
    from workflows.plan import OutcomeCounts, Plan
    from workflows.preparing import micros
    from workflows.run import Phase, RunReport, RunRequest, RunState
    from workflows.segments import Segments
    from workflows.stages import rounds_of
    from workflows.verdict import verdict

NOTHING_BEGAN = (RunState.REFUSED, RunState.EXPIRED)
LAST_LOOK = "last look"
"""The patch with which a run that verifies asks once more, after its last round, where the files are."""


class Account:
    """Closes a run: `outcomes` are its final counts, `finished` is when it was over."""

    def __init__(self, request: RunRequest, course: Course, segments: Segments, campaign: Campaign) -> None:
        self.outcomes: OutcomeCounts | None = None
        self.finished: datetime | None = None
        self._digest: str | None = None
        self._request = request
        self._policy = request.policy
        self._course = course
        self._segments = segments
        self._campaign = campaign

    async def look_where_the_files_are(self) -> None:
        """Ask the Hub once more about what is done, where the policy wants to be sure."""
        run, rounds = self._policy.run, self._campaign.rounds
        if run.verify == "none" or not self._segments.jobs or not workflow.patched(LAST_LOOK):
            return
        self._course.phase = Phase.VERIFY
        last = rounds_of(rounds, rounds[-1].stage)
        request = ReconcileRequest(
            run=self._request.run,
            site=self._policy.one_site,
            workflow=run.steps[last[0].stage - 1].workflow or run.hub_workflow,
            rounds=named(last),
        )
        look = workflow.start_activity_method(Reconciliation.reconcile, request, **LONG_READ)
        await self._course.unless_stopped(look)

    async def of_every_file(self, plan: Plan | None) -> None:
        """Give every file of the plan exactly one outcome, and count them."""
        course, campaign = self._course, self._campaign
        course.phase = Phase.REPORT
        if plan is None or course.state in NOTHING_BEGAN:
            return
        request = CloseRequest(
            run=self._request.run,
            plan=plan.manifest,
            rounds=named(campaign.rounds),
            passed=campaign.stages.passed(campaign.rounds),
            unreached=self._unreached(),
            site=self._policy.one_site,
            began_us=micros(course.started),
        )
        try:
            closed = await workflow.execute_activity_method(Outcomes.close_outcomes, request, **LONG_READ)
        except ActivityError as error:
            course.trouble = course.trouble or root_cause(error)
            return
        self.outcomes, self._digest = closed.counts, closed.digest

    def report(self, plan: Plan | None, problems: int) -> RunReport:
        """Say how the run ended."""
        course, campaign = self._course, self._campaign
        self.finished = workflow.now()
        outcomes = self.outcomes or OutcomeCounts()
        course.state, course.trouble = verdict(
            ended_early=course.state if course.state in NOTHING_BEGAN else None,
            stop=course.stop,
            trouble=course.trouble,
            plan=plan,
            outcomes=outcomes,
        )
        course.phase = Phase.OVER
        return RunReport(
            run=self._request.run,
            policy=self._policy.name,
            version=self._request.version,
            state=course.state,
            plan=plan,
            inventory_problems=problems,
            outcomes=outcomes,
            outcomes_digest=self._digest,
            stages=campaign.stages.records(campaign.rounds),
            rounds=tuple(campaign.rounds),
            jobs=self._segments.jobs,
            trouble=course.trouble,
            started=course.started,
            finished=self.finished,
        )

    def _unreached(self) -> Unreached | None:
        if self._course.stop is not None:
            return Unreached(outcome="cancelled", message=self._course.stop.why)
        if self._course.trouble is not None:
            return Unreached(outcome="failed", reason="hub_error", message=self._course.trouble)
        return None


def root_cause(error: BaseException) -> str:
    """Take the message of the innermost failure, which is the one that a person can act on."""
    while isinstance(error, FailureError) and error.cause is not None:
        error = error.cause
    return str(error)
