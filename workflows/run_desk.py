"""The desk of a site: hears who wants a policy to run, and begins runs, each in its turn and each once."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.events import Events
    from activities.starting import Cancel, Decided, Ended, Renewed, Room, RunEnd, Starts, asking
    from workflows.desk_book import DeskBook
    from workflows.options import CANCEL_RUN, FOLLOW, RECORD, RUN
    from workflows.patience import at_once
    from workflows.run import EndedRun, Person, RunState
    from workflows.run_policy import RunPolicy
    from workflows.starts import DeskState, DeskStatus, OpenRun, Start, StartState, Waiting, Wish
    from workflows.turns import in_turn, may_travel, may_wait, turn_of

HEARD_WITHIN = timedelta(seconds=10)
"""How long the end of a run takes to reach its desk, a lost worker left aside."""

HANDFUL = 10
"""Wishes that are heard in one go: behind a longer one Temporal holds back too many signals, and drops the task."""

POISON = (FailureError, ValueError)
"""What a wish that can never be recorded, read or begun raises."""


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RunDesk:
    """Begins the runs of one site for as long as there is a site."""

    @workflow.init
    def __init__(self, state: DeskState) -> None:
        self._book = DeskBook(state)
        self._look = True
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._aside: set[asyncio.Task[None]] = set()

    @workflow.run
    async def run(self, state: DeskState) -> None:
        """Hear, decide, begin; go on with a fresh history when this one has become long."""
        book = self._book
        for run in state.open:
            self._follow(run)
        while True:
            await workflow.wait_condition(lambda: bool(book.arrived) or self._look)
            if workflow.info().is_continue_as_new_suggested() and may_travel(book.arrived.values()) and not self._aside:
                workflow.continue_as_new(book.state())
            for key, wish in list(book.arrived.items())[:HANDFUL]:
                await self._hear_safely(wish)
                del book.arrived[key]
            if book.arrived:
                await asyncio.sleep(0.001)
            elif self._look:
                self._look = False
                await self._look_safely()

    @workflow.signal
    def want(self, wish: Wish) -> None:
        """Hear a wish."""
        self._book.arrived.setdefault(wish.key, wish)

    @workflow.signal
    def look(self) -> None:
        """Look at what waits once more: a hold was lifted, or a policy changed."""
        self._look = True

    @workflow.query
    def about(self, key: str) -> Start | None:
        """Tell what became of a wish; None while it is not decided, and of one that is long over."""
        return self._book.answer(key)

    @workflow.query
    def status(self) -> DeskStatus:
        """Tell what runs and what waits."""
        book = self._book
        waiting = tuple(in_turn(list(book.waiting.values())))
        return DeskStatus(site=book.site, open=tuple(book.open.values()), waiting=waiting)

    # Deciding.

    async def _hear_safely(self, wish: Wish) -> None:
        """Let no wish that can never be met end the desk for all others."""
        try:
            await self._hear(wish)
        except POISON as error:
            await self._give_up(wish, error)

    async def _look_safely(self) -> None:
        try:
            await self._begin_in_turn()
        except POISON:
            workflow.logger.exception("the queue could not be looked at")

    async def _hear(self, wish: Wish) -> None:
        book = self._book
        if wish.key in book.waiting or book.is_over(wish.key):
            return
        answer = await at_once(Starts.hear_wish, wish)
        if answer.start is not None:
            book.remember(answer.start)
            return
        room = await self._room_for(wish)
        if why := room.held.get(wish.key) or room.gone.get(wish.key):
            await self._answer(wish, StartState.SKIPPED, why=why)
            return
        await self._forget_ended(wish.policy)
        turn = turn_of(wish, tuple(book.open.values()), tuple(book.waiting.values()))
        for waits in turn.drop:
            del book.waiting[waits.wish.key]
            await self._answer(waits.wish, StartState.SKIPPED, why="a later start took its place")
        for run in turn.cancel:
            self._cancel(run, Person(actor=wish.actor, reason=f"{wish.cause.text} takes its place"))
        if turn.verdict == "skip":
            await self._answer(wish, StartState.SKIPPED, why=turn.why)
            return
        fits = may_wait(wish, book.waiting.values())
        book.waiting[wish.key] = Waiting(wish=wish, since=workflow.now(), why=turn.why)
        await self._begin_in_turn()
        if wish.key not in book.waiting:
            return
        why = turn.why or f"the site has {len(book.open)} runs, as many as it may"
        if fits:
            book.waiting[wish.key] = book.waiting[wish.key].model_copy(update={"why": why})
            await self._answer(wish, StartState.QUEUED, why=why)
        else:
            del book.waiting[wish.key]
            await self._answer(wish, StartState.SKIPPED, why=f"{why}, and {len(book.waiting)} starts wait already")

    async def _begin_in_turn(self) -> None:
        """Begin what may begin, in the order of the queue; what was taken away meanwhile leaves it."""
        book = self._book
        if not book.waiting:
            return
        room = await self._room_for()
        for key, why in room.gone.items():
            await self._answer(book.waiting.pop(key).wish, StartState.SKIPPED, why=why)
        for wish in book.next_ones():
            if len(book.open) >= room.most_runs:
                return
            if wish.key in room.held or wish.key not in room.asked:
                continue
            try:
                await self._begin(wish)
            except POISON as error:
                await self._give_up(wish, error)

    async def _room_for(self, wish: Wish | None = None) -> Room:
        wishes = [wish] if wish is not None else [one.wish for one in self._book.waiting.values()]
        asked = asking(self._book.site, wishes)
        room: Room = await at_once(Starts.look_for_room, asked)
        return room

    async def _begin(self, wish: Wish) -> None:
        renewed: Renewed = await at_once(Starts.renew_wish, wish)
        if renewed.wish is None:
            del self._book.waiting[wish.key]
            await self._answer(wish, StartState.SKIPPED, why=renewed.gone)
            return
        now, wish = workflow.now(), renewed.wish
        run = wish.run or f"{wish.policy}-{now:%Y%m%dT%H%M%SZ}-{_mark(self._book.queue, self._book.site, wish.key)}"
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
        waited = now - self._book.begun(begun, wish.key).since
        self._follow(begun)
        await self._answer(wish, StartState.BEGUN, run=run, waited_s=round(waited.total_seconds(), 3))

    # Following.

    async def _forget_ended(self, policy: str) -> None:
        """Wait until this desk has heard, too, of runs of a policy that have just ended: nothing stands behind them."""
        open_ones = self._book.of_policy(policy)
        if not open_ones:
            return
        asked = Ended(runs=open_ones)
        ended = (await at_once(Starts.ended_ones, asked)).runs
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: not any(run in self._book.open for run in ended), timeout=HEARD_WITHIN
            )

    def _follow(self, run: OpenRun) -> None:
        self._followed[run.run] = asyncio.create_task(self._until_its_end(run))

    async def _until_its_end(self, run: OpenRun) -> None:
        try:
            end: RunEnd = await workflow.execute_activity_method(Starts.follow_run, run.run, **FOLLOW)
            ended = EndedRun(run=run.run, policy=run.policy, site=self._book.site, state=end.state)
            self._do_aside(workflow.execute_activity_method(Events.tell_run_ended, ended, **RECORD))
        except ActivityError:
            # Nobody can say how it ended; its place is free all the same, the claims keep its files apart.
            workflow.logger.exception("a run could not be followed")
        del self._book.open[run.run], self._followed[run.run]
        self._look = True

    def _cancel(self, run: str, person: Person) -> None:
        """Ask a run to end, without waiting: the desk hears of its end as of any other."""
        cancel = Cancel(run=run, person=person)
        self._do_aside(workflow.execute_activity_method(Starts.cancel_run, cancel, **CANCEL_RUN))

    def _do_aside(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do what nobody waits for, but what must be done before this history is left."""

        async def do() -> None:
            try:
                await doing
            except ActivityError:
                workflow.logger.exception("the desk could not do what it had to")

        task = asyncio.create_task(do())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    # Telling.

    async def _give_up(self, wish: Wish, error: BaseException) -> None:
        """Remember and record that a wish can never be met; one that has begun has begun, whatever failed after it."""
        self._book.waiting.pop(wish.key, None)
        if self._book.is_over(wish.key):
            workflow.logger.error("a decision could not be recorded", extra={"key": wish.key, "error": str(error)})
            return
        cause = getattr(error, "cause", None) or error
        start = Start(key=wish.key, state=StartState.SKIPPED, why=f"it cannot be met: {cause}")
        workflow.logger.error("a wish could not be met", extra={"key": wish.key, "error": str(cause)})
        self._book.remember(start)
        with suppress(FailureError):
            decided = Decided(wish=wish, start=start)
            await at_once(Starts.record_refusal, decided)

    async def _answer(
        self, wish: Wish, state: StartState, *, run: str | None = None, why: str = "", waited_s: float = 0.0
    ) -> None:
        start = Start(key=wish.key, state=state, run=run or wish.run or None, why=why)
        # Remembered first: what has begun has begun, whether or not the audit takes it.
        self._book.remember(start)
        decided = Decided(wish=wish, start=start, waited_s=waited_s)
        await at_once(Starts.record_decision, decided)


def _mark(*parts: str) -> str:
    """Tell runs apart that begin in the same second: at many sites, for many events, of two installations."""
    return sha256("/".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
