"""The helm of a run: what its windows, its breaker and people say while it is open, passed on to its segments."""

import asyncio
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.hub_health import HealthRequest, HubHealth, HubState
    from activities.open_times import OpenTimesRequest, WindowTimes
    from activities.preflight import PreflightRequest
    from workflows.adapting import SlotsStep
    from workflows.breaking import BreakerChange, Stand
    from workflows.concurrency import Adaptive, bounds_of, slots_of
    from workflows.course import Course
    from workflows.opening import Opening, OpenTimes
    from workflows.options import RECORD, WATCH
    from workflows.pausing import Pausers
    from workflows.run import NewLimits, Pauser, Pausing, Person, Resuming, RunRequest, RunState, SoFar, Stop
    from workflows.running import Rate
    from workflows.segments import Segments

SEVERAL_PAUSERS = "several pausers"
"""The patch with which a run that is paused hears of a further pause; before, only the first one counted."""
BREAKER_TOLD = "segments hear of the breaker"
"""The patch with which also a segment that has given the pace away keeps back what a window cut."""
RENEWED_BEFORE = timedelta(days=14)
"""The times of the windows are asked for again so long before they run out: a worker may be away for a while."""
LEAST_WAIT = timedelta(milliseconds=1)


class Helm:
    """Keeps what holds beside the plan: pauses, limits, windows, breaker; each change is told, shown and recorded."""

    def __init__(self, request: RunRequest, course: Course, segments: Segments) -> None:
        self.pausers = Pausers()
        self.breaker: BreakerChange | None = None
        self.window = not request.urgent
        self.asked_slots: int | None = None
        self.adapted: SlotsStep | None = None
        self._policy = request.policy
        self._course = course
        self._segments = segments
        self._times: OpenTimes | None = None
        self._opening = Opening()
        self._tasks: set[asyncio.Task[None]] = set()
        self._acting = 0
        self._health: asyncio.Task[None] | None = None
        self._needs: PreflightRequest | None = None
        segments.tell_news(self.hear)

    def go_on(self, so_far: SoFar) -> None:
        """Take over what held at the end of the history before."""
        self.breaker, self.window = so_far.breaker, so_far.window
        self.asked_slots, self.adapted = so_far.asked_slots, so_far.adapted
        self._opening = self._segments.steering.opening
        pausers, paused_by = so_far.pausers, so_far.steering.paused_by
        if paused_by is not None and not pausers:  # It was paused before there could be several.
            pausers = (Pauser(actor=paused_by, since=workflow.now()),)
        self.pausers = Pausers(pausers)
        for pauser in pausers:
            self._end_in_time(pauser)

    async def begin_stage(self, concurrency: int | Adaptive) -> None:
        """Let a stage begin with its own concurrency, unless a person has set one for the run."""
        self.adapted = None
        self._segments.adapt_between(bounds_of(concurrency))
        await self._segments.steer(slots=self.asked_slots or slots_of(concurrency))

    async def hear(self, news: BreakerChange | SlotsStep) -> None:
        """Take how the breaker stands now, or how many jobs are better."""
        if isinstance(news, BreakerChange):
            await self.breaker_changed(news)
        else:
            await self.adapt(news)

    async def adapt(self, step: SlotsStep) -> None:
        """Have as many jobs in flight as the rule has found, unless a person has set a number."""
        self.adapted = step
        if self.asked_slots is None:
            await self._segments.steer(slots=step.slots)
        said = step.model_dump(mode="json")
        await self._course.record("run.adapted", **said, kept=self.asked_slots is None)

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing that happened by itself is still to be passed on or recorded."""
        return not self._acting

    @property
    def holds_back(self) -> str | None:
        """Why nothing is begun, as the end of the sentence "it waits for"; None when windows and breaker allow it."""
        breaker, steering = self.breaker, self._segments.steering
        if breaker is not None and breaker.stand is Stand.OPEN:
            then = "somebody to resume it"
            if breaker.probe_at is not None:
                then = f"one batch to be tried at {breaker.probe_at:%Y-%m-%d %H:%M:%S} UTC"
            return f"{then}: the breaker is open since {breaker.since:%Y-%m-%d %H:%M:%S} UTC, {breaker.why}"
        if steering.unwell is not None:
            return f"the Hub to be fit for it: {steering.unwell}"
        if steering.opening.closed_until is not None:
            return f"its window, which opens at {steering.opening.closed_until:%Y-%m-%d %H:%M} UTC"
        if breaker is not None and breaker.stand is Stand.PROBING:
            return f"the batch that is tried: the breaker was opened at {breaker.since:%Y-%m-%d %H:%M:%S} UTC"
        return None

    # Pauses.

    async def pause(self, pausing: Pausing) -> None:
        """Begin nothing more until everybody who pauses the run resumes it, or the time of the pause is over."""
        first = not self.pausers
        if not first and not workflow.patched(SEVERAL_PAUSERS):
            return
        if not self.pausers.add(pausing, workflow.now()):
            return
        if first:
            await self._segments.steer(paused_by=pausing.actor)
            self._course.announce()
        said = {"reason": pausing.reason, "freeze": pausing.freeze, "until": pausing.until}
        await self._course.record("run.paused", actor=pausing.actor, **said)
        self._end_in_time(self.pausers.standing[-1])

    async def resume(self, resuming: Resuming) -> None:
        """Lift the pauses that are meant, and go on when no other one is left; an open breaker tries one batch."""
        lifted = self.pausers.lift(resuming)
        tries = resuming.people and self.breaker is not None and self.breaker.stand is Stand.OPEN
        if lifted or tries:
            await self._go_on_without(lifted, resuming.actor, resuming.reason, tries=tries)

    async def _go_on_without(self, lifted: tuple[Pauser, ...], actor: str, reason: str, *, tries: bool = False) -> None:
        if tries:
            await self._segments.steer(resumes=self._segments.steering.resumes + 1, shut=None)
        if lifted and not self.pausers:
            await self._segments.steer(paused_by=None)
            self._course.announce()
        said = {"reason": reason, "lifted": [one.name for one in lifted], "still": self.pausers.names}
        await self._course.record("run.resumed", actor=actor, **said)

    def _end_in_time(self, pauser: Pauser) -> None:
        if pauser.until is not None:
            self._keep(self._end_pause(pauser, pauser.until - workflow.now()))

    async def _end_pause(self, pauser: Pauser, wait: timedelta) -> None:
        await asyncio.sleep(max(wait, LEAST_WAIT).total_seconds())
        if self.pausers.drop(pauser):
            over = f"the pause was until {pauser.until:%Y-%m-%d %H:%M:%S} UTC"
            await self._whole(self._go_on_without((pauser,), "engine", over))

    # Limits.

    def refuse(self, limits: NewLimits) -> None:
        """Raise for limits that say nothing, or nothing that could be done."""
        why = None
        if limits.window is not None and not self._policy.run.windows:
            why = "its policy has no windows"
        elif limits.adapts and self._segments.bounds is None:
            why = "its policy gives no bounds between which its concurrency could adapt: name a number"
        elif not (limits.concurrency or limits.adapts or limits.rate or limits.rate_off or limits.window is not None):
            why = "no limit was named"
        if why:
            raise ApplicationError(why, type="NotPossible", non_retryable=True)

    async def set_limits(self, limits: NewLimits) -> None:
        """Take over what a person changed; in effect for the next batch that begins."""
        before = self._limits()
        if limits.window is not None:
            self.window = limits.window
        steering = self._segments.steering
        self.asked_slots = None if limits.adapts else limits.concurrency or self.asked_slots
        await self._segments.steer(
            slots=self._found_slots() if limits.adapts else limits.concurrency or steering.slots,
            rate=_changed(steering.rate, limits),
            opening=self._opening if self.window else Opening(),
        )
        self._course.announce()
        said = {"before": before, "after": self._limits(), "reason": limits.reason}
        await self._course.record("run.limits_set", actor=limits.actor, **said)

    def _found_slots(self) -> int:
        assert self._segments.bounds is not None
        return self._segments.bounds.least if self.adapted is None else self.adapted.slots

    async def hurry(self, person: Person) -> None:
        """Mind neither windows nor rates any more; said twice it is done once."""
        bounds = bool(self._policy.run.windows)
        if (self.window and bounds) or self._segments.steering.rate is not None:
            off = False if bounds else None
            await self.set_limits(NewLimits(actor=person.actor, reason=person.reason, rate_off=True, window=off))

    def _limits(self) -> dict[str, object]:
        steering = self._segments.steering
        rate = steering.rate.model_dump(mode="json", exclude_none=True) if steering.rate else None
        window = self.window if self._policy.run.windows else None
        return {"concurrency": steering.slots, "rate": rate, "window": window}

    # Windows.

    async def keep_windows(self) -> None:
        """Know whether a window is open before anything is begun, and follow it from then on."""
        if self._policy.run.windows:
            await self._look_at_windows()
            self._keep(self._follow_windows())

    async def _follow_windows(self) -> None:
        while True:
            assert self._times is not None
            moments = [self._times.known_until - RENEWED_BEFORE]
            if self._opening.changes_at is not None:
                moments.append(self._opening.changes_at)
            await asyncio.sleep(max(min(moments) - workflow.now(), LEAST_WAIT).total_seconds())
            await self._look_at_windows()

    async def _look_at_windows(self) -> None:
        now = workflow.now()
        if self._times is None or now >= self._times.known_until - RENEWED_BEFORE:
            request = OpenTimesRequest(windows=self._policy.run.windows, after=now)
            self._times = await workflow.execute_activity_method(WindowTimes.open_times, request, **RECORD)
        before, self._opening = self._opening, self._times.at(workflow.now())
        await self._whole(self._tell_opening(before))

    async def _tell_opening(self, before: Opening) -> None:
        if self.window and self._opening != self._segments.steering.opening:
            await self._segments.steer(opening=self._opening)
            self._course.announce()
        if (before.closed_until is None) != (self._opening.closed_until is None) or before == Opening():
            event = "window.opened" if self._opening.closed_until is None else "window.closed"
            body: dict[str, object] = {
                "until": self._opening.changes_at,
                "kept": self.window,
                "then": self._policy.run.outside_windows,
            }
            await self._course.record(event, actor="engine", **body)

    # The breaker.

    def keep_to_health(self, needs: PreflightRequest) -> None:
        """Follow, where the policy has a breaker, whether what a stage needs of the Hub is there and well."""
        if self._policy.breaker is None or needs == self._needs:
            return
        if self._health is not None:
            self._health.cancel()
        self._needs = needs
        self._health = self._keep(self._follow_health(needs))

    async def _follow_health(self, needs: PreflightRequest) -> None:
        while True:
            request = HealthRequest(needs=(needs,), was_well=self._segments.steering.unwell is None)
            try:
                state = await workflow.execute_activity_method(HubHealth.watch_health, request, **WATCH)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    return
                raise
            if needs != self._needs:
                return  # Another stage has begun while this was on its way.
            await asyncio.shield(self._whole(self._tell_health(needs.site, state)))

    async def _tell_health(self, site: str, state: HubState) -> None:
        await self._segments.steer(unwell=None if state.well else state.why)
        self._course.announce()
        await self._course.record("run.hub_well" if state.well else "run.hub_unwell", site=site, why=state.why)

    async def breaker_changed(self, change: BreakerChange) -> None:
        """Show and record how the breaker stands now; it ends the run where the policy says so."""
        self.breaker = None if change.stand is Stand.CLOSED else change
        if workflow.patched(BREAKER_TOLD):
            await self._segments.steer(shut=self.breaker if change.stand is Stand.OPEN else None)
        self._course.announce()
        await self._course.record("breaker.changed", **change.model_dump(mode="json"))
        breaker = self._policy.breaker
        if change.stand is Stand.OPEN and breaker is not None and breaker.then == "stop":
            await self._course.end(Stop(why=f"the breaker opened: {change.why}", by="engine", state=RunState.FAILED))

    async def _whole(self, story: Awaitable[None]) -> None:
        """Do what a fresh history must not begin in the middle of."""
        self._acting += 1
        try:
            await story
        finally:
            self._acting -= 1

    def _keep(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(story)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _changed(rate: Rate | None, limits: NewLimits) -> Rate | None:
    kept = {} if rate is None or limits.rate_off else rate.model_dump(exclude_none=True)
    kept |= limits.rate.model_dump(exclude_none=True) if limits.rate else {}
    return Rate.model_validate(kept) if kept else None
