"""The desk of a site: hears who wants a policy to run, and begins runs, each in its turn and each once."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit, AuditRecord, Event
    from activities.events import Events
    from activities.starting import Cancel, Ended, RunEnd, Starts, Told, start_key
    from workflows.options import AT_ONCE, CANCEL_RUN, FOLLOW, RECORD, RUN
    from workflows.run import EndedRun, Person, RunState
    from workflows.run_policy import RunPolicy
    from workflows.starts import (
        MOST_REMEMBERED,
        DeskState,
        DeskStatus,
        OpenRun,
        Start,
        StartState,
        Waiting,
        Wish,
    )
    from workflows.turns import in_turn, may_begin, may_travel, may_wait, turn_of

HEARD_WITHIN = timedelta(seconds=10)
"""How long the end of a run takes to reach its desk, a lost worker left aside."""

EVENTS = {
    StartState.BEGUN: Event.START_BEGUN,
    StartState.QUEUED: Event.START_QUEUED,
    StartState.SKIPPED: Event.START_SKIPPED,
}


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RunDesk:
    """Begins the runs of one site for as long as there is a site."""

    @workflow.init
    def __init__(self, state: DeskState) -> None:
        self._site = state.site
        self._open = {run.run: run for run in state.open}
        self._arrived = {wish.key: wish for wish in state.arrived}
        self._waiting = list(state.waiting)
        self._answers = {answer.key: answer for answer in state.answers}
        self._look = True
        self._followed: dict[str, asyncio.Task[None]] = {}

    @workflow.run
    async def run(self, state: DeskState) -> None:
        """Hear, decide, begin; go on with a fresh history when this one has become long."""
        for run in state.open:
            self._follow(run)
        while True:
            await workflow.wait_condition(lambda: bool(self._arrived) or self._look)
            if workflow.info().is_continue_as_new_suggested() and may_travel(self._arrived.values()):
                workflow.continue_as_new(self._state())
            if self._arrived:
                key, wish = next(iter(self._arrived.items()))
                await self._hear_safely(wish)
                del self._arrived[key]
            if not self._arrived:
                self._look = False
                await self._begin_in_turn()

    @workflow.signal
    def want(self, wish: Wish) -> None:
        """Hear a wish."""
        self._arrived.setdefault(wish.key, wish)

    @workflow.signal
    def look(self) -> None:
        """Look at what waits once more: a hold was lifted, or a limit changed."""
        self._look = True

    @workflow.query
    def about(self, key: str) -> Start | None:
        """Tell what became of a wish; None while it is not decided, and of one that is long over."""
        return self._answers.get(key)

    @workflow.query
    def status(self) -> DeskStatus:
        """Tell what runs and what waits."""
        return DeskStatus(site=self._site, open=tuple(self._open.values()), waiting=tuple(in_turn(self._waiting)))

    # Deciding.

    async def _hear_safely(self, wish: Wish) -> None:
        """Let no wish that can never be recorded or begun end the desk for all others."""
        try:
            await self._hear(wish)
        except FailureError as error:
            workflow.logger.exception("a wish could not be met", extra={"key": wish.key})
            self._remember(
                Start(key=wish.key, state=StartState.SKIPPED, why=f"it cannot be met: {error.__cause__ or error}")
            )

    async def _hear(self, wish: Wish) -> None:
        heard = await workflow.execute_local_activity_method(
            Starts.hear_wish, Told(wish=wish, token=str(workflow.uuid4())), **AT_ONCE
        )
        if not heard.first:
            return
        await self._forget_ended(wish.policy)
        turn = turn_of(wish, tuple(self._open.values()), self._waiting)
        for waits in turn.drop:
            self._waiting.remove(waits)
            await self._answer(waits.wish, StartState.SKIPPED, why="a later start took its place")
        for run in turn.cancel:
            person = Person(actor=wish.actor, reason=f"{wish.cause.text} takes its place")
            await workflow.execute_activity_method(Starts.cancel_run, Cancel(run=run, person=person), **CANCEL_RUN)
        if turn.verdict == "skip":
            await self._answer(wish, StartState.SKIPPED, why=turn.why)
        else:
            await self._begin_or_queue(wish, turn.why)

    async def _begin_or_queue(self, wish: Wish, busy: str) -> None:
        room = await workflow.execute_local_activity_method(Starts.look_for_room, wish, **AT_ONCE)
        if room.held is not None:
            await self._answer(wish, StartState.SKIPPED, why=room.held)
            return
        if not busy and len(self._open) >= room.most_runs:
            busy = f"the site has {len(self._open)} runs, as many as it may"
        if not busy:
            await self._begin(wish, since=None)
            return
        if not may_wait(self._waiting):
            await self._answer(wish, StartState.SKIPPED, why=f"{busy}, and {len(self._waiting)} starts wait already")
            return
        self._waiting.append(Waiting(wish=wish, since=workflow.now(), why=busy))
        await self._answer(wish, StartState.QUEUED, why=busy)

    async def _begin_in_turn(self) -> None:
        for waits in in_turn(self._waiting):
            if not may_begin(waits.wish, tuple(self._open.values())):
                continue
            room = await workflow.execute_local_activity_method(Starts.look_for_room, waits.wish, **AT_ONCE)
            if len(self._open) >= room.most_runs:
                return
            if room.held is None:
                self._waiting.remove(waits)
                await self._begin(waits.wish, since=waits)

    async def _begin(self, wish: Wish, since: Waiting | None) -> None:
        now = workflow.now()
        run = wish.run or f"{wish.policy}-{now:%Y%m%dT%H%M%SZ}-{workflow.uuid4().hex[:4]}"
        request = wish.read_request().model_copy(update={"run": run})
        await workflow.start_child_workflow(
            RunPolicy.run,
            request,
            id=run,
            memo={
                "policy": wish.policy,
                "actor": request.actor,
                "reason": request.reason,
                "state": str(RunState.RUNNING),
                "started": now.isoformat(),
                "site": wish.site,
                "labels": request.policy.labels,
            },
            static_summary=f"{wish.policy}: {request.reason}"[:200],
            **RUN,
        )
        begun = OpenRun(run=run, policy=wish.policy, since=now)
        self._open[run] = begun
        self._follow(begun)
        waited = timedelta(0) if since is None else now - since.since
        await self._answer(wish, StartState.BEGUN, run=run, waited_s=round(waited.total_seconds(), 3))

    # Following.

    async def _forget_ended(self, policy: str) -> None:
        """Wait until this desk has heard, too, of runs of a policy that have just ended: nothing stands behind them."""
        open_ones = tuple(run.run for run in self._open.values() if run.policy == policy)
        if not open_ones:
            return
        asked = Ended(runs=open_ones)
        ended = (await workflow.execute_local_activity_method(Starts.ended_ones, asked, **AT_ONCE)).runs
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: not any(run in self._open for run in ended), timeout=HEARD_WITHIN)

    def _follow(self, run: OpenRun) -> None:
        self._followed[run.run] = asyncio.create_task(self._until_its_end(run))

    async def _until_its_end(self, run: OpenRun) -> None:
        try:
            end: RunEnd = await workflow.execute_activity_method(Starts.follow_run, run.run, **FOLLOW)
            ended = EndedRun(run=run.run, policy=run.policy, site=self._site, state=end.state)
            await workflow.execute_activity_method(Events.tell_run_ended, ended, **RECORD)
        except ActivityError:
            # Nobody can say how it ended; its place is free all the same, the claims keep its files apart.
            workflow.logger.exception("a run could not be followed")
        del self._open[run.run], self._followed[run.run]
        self._look = True

    # Telling.

    async def _answer(
        self, wish: Wish, state: StartState, *, run: str | None = None, why: str = "", **more: float
    ) -> None:
        cause = wish.cause
        body = {
            "policy": wish.policy,
            "site": self._site,
            "kind": cause.kind,
            "text": cause.text,
            "scheduled": None if cause.scheduled is None else cause.scheduled.isoformat(),
            **({"run": run} if run is not None else {"why": why}),
            **more,
        }
        await workflow.execute_local_activity_method(
            Audit.record,
            AuditRecord(
                event=EVENTS[state],
                actor=wish.actor,
                key=start_key(wish.key, str(state)),
                body=body,
            ),
            **AT_ONCE,
        )
        self._remember(Start(key=wish.key, state=state, run=run or wish.run or None, why=why))

    def _remember(self, start: Start) -> None:
        self._answers.pop(start.key, None)
        self._answers[start.key] = start
        while len(self._answers) > MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]

    def _state(self) -> DeskState:
        return DeskState(
            site=self._site,
            open=tuple(self._open.values()),
            arrived=tuple(self._arrived.values()),
            waiting=tuple(self._waiting),
            answers=tuple(self._answers.values()),
        )
