"""The router: hears of events, each once, and tells the desks which policies want to run for them."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.events import Events
    from activities.hub_events import Follow, HubEvents
    from workflows.bursts import (
        Burst,
        HeardEvent,
        RouterState,
        RouterStatus,
        ToldEvent,
        handful,
        joined,
        may_travel,
        settled,
    )
    from workflows.events import (
        HUB_ALERT,
        HUB_JOB,
        KEPT_ELSEWHERE,
        LONG_HISTORY,
        LONG_HISTORY_BYTES,
        CloudEvent,
        Telling,
    )
    from workflows.options import AT_ONCE_OR_LATER, FOLLOW, RECORD
    from workflows.routes import Matched, PolicyRoutes, Route, wants

MOST_MATCHES = 2_000
"""So many pairs of event and route travel in one value; one event may have more."""

MOST_A_TASK = 2
"""So many handfuls are dealt with in one workflow task."""

BREATH = timedelta(milliseconds=1)


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RouteEvents:
    """Routes the events of one installation for as long as there is one."""

    @workflow.init
    def __init__(self, state: RouterState) -> None:
        self._tables = {table.policy: table for table in state.tables}
        self._bursts = state.bursts
        self._arrived = list(state.arrived)
        self._taken = state.taken
        self._cursor = state.cursor
        self._follower: asyncio.Task[None] | None = None
        self._followed: tuple[str, ...] = ()
        self._dropped = list(state.dropped)
        self._trouble: str | None = None
        self._handfuls = 0

    @workflow.run
    async def run(self, state: RouterState) -> None:
        """Hear a handful, hand over what has settled; between two handfuls take a fresh history when this is long."""
        while True:
            self._follow_the_hub()
            if not self._arrived and not self._dropped:
                await self._wait()
            if self._is_long() and may_travel(self._arrived):
                await self._go_on_afresh()
            if self._arrived:
                await self._hear()
                await self._breathe()
            if self._dropped:
                await self._tell_dropped()
            while due := settled(self._bursts, workflow.now()):
                await self._hand_over(due)
                await self._breathe()

    @workflow.signal
    def hear(self, telling: Telling) -> None:
        """Hear of some events."""
        self._arrived += telling.events
        if telling.cursor is not None:  # Of a follower that was told to stop, its jobs do not count any more.
            self._cursor = telling.cursor if HUB_JOB in self._followed else telling.cursor.without_jobs()

    @workflow.update
    async def put_routes(self, table: PolicyRoutes) -> None:
        """Take the routes of a policy in place of those that it had; what settles goes on as it began."""
        self._tables[table.policy] = table

    @workflow.update
    async def remove_routes(self, policy: str) -> None:
        """Forget the routes of a policy; what settles for it starts nothing, and that is told."""
        self._tables.pop(policy, None)
        self._dropped += (burst for burst in self._bursts if burst.policy == policy)
        self._bursts = tuple(burst for burst in self._bursts if burst.policy != policy)

    @workflow.query
    def status(self) -> RouterStatus:
        """Tell the routes and what settles."""
        return RouterStatus(
            tables=tuple(self._tables.values()),
            bursts=self._bursts,
            waiting=len(self._arrived),
            trouble=self._trouble,
        )

    # Waiting.

    async def _wait(self) -> None:
        self._handfuls = 0
        left = min((burst.due for burst in self._bursts), default=None)
        try:
            await workflow.wait_condition(
                lambda: bool(self._arrived or self._dropped) or self._wanted_of_hub() != self._followed,
                timeout=None if left is None else max(left - workflow.now(), timedelta(0)),
            )
        except TimeoutError:
            return

    async def _breathe(self) -> None:
        """Let the workflow task end now and then: the server takes one away when a hundred signals came meanwhile."""
        self._handfuls += 1
        goes_on = bool(self._arrived or settled(self._bursts, workflow.now()))
        if goes_on and self._handfuls % MOST_A_TASK == 0:
            before = len(self._arrived)
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: len(self._arrived) != before, timeout=BREATH)

    # Hearing.

    async def _hear(self) -> None:
        # The routes of this moment: they may change while the events are written.
        tables = dict(self._tables)
        told = list(self._first_ones())
        kept = [one for one in told if one.matched or one.event.type not in KEPT_ELSEWHERE]
        answers: list[HeardEvent] = []
        if kept:
            answers = await self._written(kept)
        for one, answer in zip(kept, answers, strict=True):
            if answer.first:
                for matched in answer.matched:
                    self._settle(one.event, matched, (*answer.former, *tables.values()))
        del self._arrived[: len(told)]
        self._taken += len(told)

    def _first_ones(self) -> Iterator[ToldEvent]:
        """Give a handful of what has arrived.

        An event's token is its place among all that this router ever heard: the same when a task is done again, also in
        the history after this one, so that its record is known for its own.
        """
        chain = workflow.info().first_execution_run_id
        matches = 0
        for place, event in enumerate(self._arrived[: handful(self._arrived)]):
            matched = tuple(self._matched(event))
            matches += len(matched)
            if place and matches > MOST_MATCHES:
                return
            yield ToldEvent(event=event, matched=matched, token=f"{chain}/{self._taken + place}")

    async def _written(self, told: list[ToldEvent]) -> list[HeardEvent]:
        """Write events into the audit: at once, or patiently where it is away; one that cannot be written costs itself.

        A local activity leaves its argument out of the history, which a backlog of events would fill; but each of its
        retries makes the history longer.
        """
        hear, together = Events.hear_events, tuple(told)
        try:
            return await workflow.execute_local_activity_method(hear, together, **AT_ONCE_OR_LATER)
        except FailureError:
            workflow.logger.info("events could not be kept at once", exc_info=True)
        try:
            return await workflow.execute_activity_method(hear, together, **RECORD)
        except FailureError as error:
            if len(told) > 1:
                return [answer for one in told for answer in await self._written([one])]
            self._trouble = f"{told[0].event.text} could not be kept: {error.__cause__ or error}"
            workflow.logger.exception("an event could not be kept")
            return [HeardEvent(first=False)]

    def _matched(self, event: CloudEvent) -> Iterator[Matched]:
        for table in self._tables.values():
            for route in table.routes:
                if wants(route, event):
                    yield Matched(
                        policy=table.policy, trigger=route.trigger, version=table.version, digest=table.digest
                    )

    def _settle(self, event: CloudEvent, matched: Matched, tables: tuple[PolicyRoutes, ...]) -> None:
        """Take an event the way that was written down for it, whatever stands there by now."""
        for table in tables:
            if table.policy == matched.policy and matched.digest in ("", table.digest):
                for route in table.routes:
                    if route.trigger == matched.trigger:
                        self._join(table, route, event)
                        return
        workflow.logger.error("a route that an event was written for is gone", extra={"policy": matched.policy})

    def _join(self, table: PolicyRoutes, route: Route, event: CloudEvent) -> None:
        if table.policy in self._tables:
            self._bursts = joined(self._bursts, table, route, event, workflow.now())
        else:  # They were removed while the event was written.
            self._dropped += joined((), table, route, event, workflow.now())

    # Handing over.

    async def _hand_over(self, due: list[Burst]) -> None:
        await asyncio.gather(*(self._hand_over_one(burst) for burst in due))
        self._bursts = tuple(burst for burst in self._bursts if burst not in due)

    async def _hand_over_one(self, burst: Burst) -> None:
        try:
            await workflow.execute_local_activity_method(Events.hand_over, burst, **AT_ONCE_OR_LATER)
            return
        except FailureError:
            workflow.logger.info("a burst could not be handed over at once", exc_info=True)
        try:
            await workflow.execute_activity_method(Events.hand_over, burst, **RECORD)
        except FailureError as error:
            # Only what no further try can mend ends here; the events stay listed, and can be replayed.
            self._trouble = f"{burst.policy} could not be started for {burst.first_text}: {error.__cause__ or error}"
            workflow.logger.exception("a burst could not be handed over")

    async def _tell_dropped(self) -> None:
        """Tell of the bursts whose routes were removed."""
        dropped = tuple(self._dropped)
        try:
            await workflow.execute_activity_method(Events.tell_dropped, dropped, **RECORD)
        except FailureError as error:
            self._trouble = f"it could not be told that {dropped[0].policy} lost its routes: {error.__cause__ or error}"
            workflow.logger.exception("dropped bursts could not be told")
        del self._dropped[: len(dropped)]

    # The Hub.

    def _wanted_of_hub(self) -> tuple[str, ...]:
        types = {route.type for table in self._tables.values() for route in table.routes}
        return tuple(sorted(types & {HUB_ALERT, HUB_JOB}))

    def _follow_the_hub(self) -> None:
        wanted = self._wanted_of_hub()
        if wanted == self._followed:
            return
        if self._follower is not None:
            self._follower.cancel()
        self._followed = wanted
        if HUB_JOB not in wanted:
            self._cursor = self._cursor.without_jobs()
        elif self._cursor.began is None:
            self._cursor = self._cursor.model_copy(update={"began": workflow.now().isoformat()})
        self._follower = (
            asyncio.create_task(self._follow(Follow(types=wanted, cursor=self._cursor))) if wanted else None
        )

    async def _follow(self, follow: Follow) -> None:
        try:
            await workflow.execute_activity_method(HubEvents.follow_hub, follow, **FOLLOW)
        except ActivityError:
            workflow.logger.exception("the Hub is not followed any more")
        except asyncio.CancelledError:
            return

    # A fresh history.

    def _is_long(self) -> bool:
        now = workflow.info()
        return (
            now.is_continue_as_new_suggested()
            or now.get_current_history_length() >= LONG_HISTORY
            or now.get_current_history_size() >= LONG_HISTORY_BYTES
        )

    async def _go_on_afresh(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            RouterState(
                tables=tuple(self._tables.values()),
                bursts=self._bursts,
                arrived=tuple(self._arrived),
                cursor=self._cursor,
                taken=self._taken,
                dropped=tuple(self._dropped),
            )
        )
