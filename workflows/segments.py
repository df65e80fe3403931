"""The open segments of a run: they share its window of slots and all hear how it is steered."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError

with workflow.unsafe.imports_passed_through():
    from workflows.adapting import Adapted, Between, SlotsStep
    from workflows.breaking import BreakerChange
    from workflows.concurrency import bounds_of, slots_of
    from workflows.control import without_retryable
    from workflows.options import RUN_EVENTS, SEGMENT, SEGMENT_BATCHES, SEGMENT_EVENTS
    from workflows.order import order_of
    from workflows.pace import Note, Pace, PaceState
    from workflows.plan import OutcomeCounts
    from workflows.policy import Policy
    from workflows.run import Draining, Heard, RoundRecord, RunState, Segment, SegmentReport, Steering, Stop
    from workflows.run_batches import RunBatches

SegmentHandle = workflow.ChildWorkflowHandle[RunBatches, SegmentReport]
News = BreakerChange | SlotsStep

NEWS_OF_THE_LAST = "news of an ended segment"
"""The patch with which also what an ended segment told last opens the breaker for everybody."""
RENEWED_IN_TIME = "segments end early for a fresh history"
"""The patch with which a long history is left also while the breaker lets nothing end."""


class OpenSegment:
    """A segment that runs: how many batches it still has in flight once it drains, and what it was last told."""

    def __init__(self, handle: SegmentHandle, first: int, told: Steering) -> None:
        self.handle = handle
        self.first = first
        self.told = told
        self.draining: int | None = None


class Segments:
    """Runs rounds segment by segment; while one drains, the next already works with the slots that are free."""

    def __init__(self, run: str, policy: Policy, *, urgent: bool = False) -> None:
        self.steering = Steering(slots=slots_of(policy.run.concurrency), rate=None if urgent else policy.run.rate)
        self.bounds = bounds_of(policy.run.concurrency)
        self.pace = PaceState()
        self.counts = OutcomeCounts()
        self.jobs = 0
        self.failure: ChildWorkflowError | None = None
        self._run = run
        self._retry = policy.retry
        self.order = order_of(policy)
        self._breaker = policy.breaker
        self._at_close = policy.run.outside_windows
        self._open: dict[str, OpenSegment] = {}
        self._next = 0
        self._starting = False
        self._unheard: tuple[Note, ...] = ()
        self._news: list[News] = []
        self._tell_news: Callable[[News], Awaitable[None]] | None = None
        self._batch = policy.run.batch

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of the segments that run now."""
        return tuple(self._open)

    async def run_round(self, record: RoundRecord, first: int) -> int | None:
        """Run a round from a batch on; raises the first segment's failure.

        Gives the next batch when the history has become long and the run shall go on with a fresh one, None when the
        round is over or the steering lets nothing more begin.
        """
        self._next = first
        followed: list[asyncio.Task[None]] = []
        while True:
            while self._next < record.batches:
                await self._renewed_in_time(self._may_open)
                if self._goes_no_further():
                    break
                followed.append(asyncio.create_task(await self._start(record, self._next)))
            await self._renewed_in_time(lambda: all(follow.done() for follow in followed))
            for follow in followed:
                await follow
            if self.failure is not None:
                raise self.failure
            if self._next >= record.batches or self._goes_no_further():  # The last segment may have ended early.
                return self._next if self._next < record.batches and not self.steering.stop else None

    def begin_again(self) -> None:
        """Take the failures that the next round tries again out of the counts."""
        self.counts = without_retryable(self.counts, self._retry)

    def go_on(self, counts: OutcomeCounts, jobs: int, steering: Steering, pace: PaceState) -> None:
        """Take over what held at the end of the history before."""
        self.counts, self.jobs, self.pace = counts, jobs, pace
        self.steering = steering.model_copy(update={"renew": False})

    async def steer(self, **changes: Any) -> None:
        """Change what holds, and tell every open segment that does not know it yet."""
        self.steering = self.steering.model_copy(update=changes)
        await self._tell()

    async def draining(self, draining: Draining) -> None:
        """Let the next segment have the slots that this one needs no more, and the pace."""
        if draining.pace is not None:
            self.pace = draining.pace
        segment = self._open.get(draining.segment)
        if segment is not None:
            if segment.draining is None and draining.begun is not None:
                self._next = segment.first + draining.begun
            segment.draining = draining.in_flight
            await self._tell()
        await self._pass_on(draining.notes)
        await self._pass_news_on()

    def adapt_between(self, bounds: Between | None) -> None:
        """Let the next segments find their concurrency between other bounds, and forget what was found."""
        if bounds != self.bounds:
            self.bounds = bounds
            self.pace = self.pace.model_copy(update={"adapted": Adapted()})

    def tell_news(self, hear: Callable[[News], Awaitable[None]]) -> None:
        """Name who hears of the changes of the breaker and the concurrency that no segment can tell of."""
        self._tell_news = hear

    def _goes_no_further(self) -> bool:
        """Tell whether no further segment begins in this history."""
        is_long = self.steering.renew or workflow.info().is_continue_as_new_suggested()
        return self.steering.stop is not None or is_long

    async def _renewed_in_time(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; let the segments end early when our history becomes too long meanwhile."""
        await workflow.wait_condition(lambda: holds() or self._is_too_long())
        if not holds() and workflow.patched(RENEWED_IN_TIME):
            await self.steer(renew=True)
        await workflow.wait_condition(holds)

    def _is_too_long(self) -> bool:
        return not self.steering.renew and workflow.info().get_current_history_length() > RUN_EVENTS

    def _may_open(self) -> bool:
        beginning = any(segment.draining is None for segment in self._open.values())
        return self.steering.stop is not None or (not beginning and self._slots_left() > 0)

    def _slots_left(self) -> int:
        return max(0, self.steering.slots - sum(segment.draining or 0 for segment in self._open.values()))

    def _steering_now(self) -> Steering:
        return self.steering.model_copy(update={"slots": self._slots_left()})

    async def _start(self, record: RoundRecord, first: int) -> Coroutine[Any, Any, None]:
        name = f"{self._run}-r{record.number}-b{first}"
        steering = self._steering_now()
        segment = Segment(
            run=self._run,
            order=self.order,
            round=record.number,
            manifest=record.manifest,
            first=first,
            count=min(SEGMENT_BATCHES, record.batches - first),
            followed=first + SEGMENT_BATCHES < record.batches,
            steering=steering,
            breaker=self._breaker,
            pace=self.pace,
            at_close=self._at_close,
            bounds=self.bounds,
            batch=None if self.bounds is None else self._batch,
            most_events=SEGMENT_EVENTS,
        )
        self._next = first + segment.count
        self._starting = True
        handle = await workflow.start_child_workflow(RunBatches.run, segment, id=name, **SEGMENT)
        self._open[name] = OpenSegment(handle, first, steering)
        self._starting = False
        await self._tell()  # what was said while the segment started
        unheard, self._unheard = self._unheard, ()
        await self._pass_on(unheard)
        return self._follow(name, handle)

    async def _follow(self, name: str, handle: SegmentHandle) -> None:
        notes: tuple[Note, ...] = ()
        try:
            report = await handle
        except ChildWorkflowError as error:
            self.failure = self.failure or error
            stop = Stop(why="a part of the run failed", by="engine", state=RunState.FAILED)
            self.steering = self.steering.model_copy(update={"stop": self.steering.stop or stop})
        else:
            self.counts = self.counts.plus(report.counts)
            self.jobs += report.jobs
            self.pace = report.pace or self.pace
            notes = report.notes
            if self._open[name].draining is None:
                self._next = self._open[name].first + report.begun
        finally:
            del self._open[name]
        await self._tell()
        await self._pass_on(notes)
        if self._news and workflow.patched(NEWS_OF_THE_LAST):
            await self._pass_news_on()

    async def _tell(self) -> None:
        for segment in list(self._open.values()):
            steering = self._steering_now()
            if segment.draining is not None:
                steering = steering.model_copy(update={"slots": segment.told.slots})
            if segment.told == steering:
                continue
            segment.told = steering
            try:
                await segment.handle.signal(RunBatches.steer, steering)
            except FailureError:
                # It ended before it could hear us: its report is on the way.
                workflow.logger.info("a segment had ended before it was steered")

    async def _pass_on(self, notes: tuple[Note, ...]) -> None:
        """Tell the segment that has the pace what another one learned; nobody has it between two of them."""
        if not notes:
            return
        if self._starting:
            self._unheard += notes
            return
        for segment in list(self._open.values()):
            if segment.draining is None:
                try:
                    await segment.handle.signal(RunBatches.hear, Heard(notes=notes))
                    return
                except FailureError:
                    workflow.logger.info("a segment had ended before it heard of the one before")
        pace = Pace(self._breaker, self.steering.rate, self.pace, self.bounds)
        pace.hear(notes, self.steering.slots, workflow.now())
        self.pace = pace.state
        self._news += [*pace.changes(), *pace.steps()]

    async def _pass_news_on(self) -> None:
        news, self._news = self._news, []
        for one in news:
            assert self._tell_news is not None
            await self._tell_news(one)
