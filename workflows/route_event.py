"""The router: hears of events, each once, and tells the desks which policies want to run for them."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.events import Events
    from activities.hub_events import Follow, HubEvents
    from workflows.bursts import Burst, HeardEvent, RouterState, RouterStatus, ToldEvent
    from workflows.events import HUB_ALERT, HUB_JOB, KEPT_ELSEWHERE, CloudEvent, Telling
    from workflows.options import AT_ONCE, FOLLOW
    from workflows.routes import Matched, PolicyRoutes, sites_for, wants

MOST_AT_ONCE = 100
"""So many events are heard with one commit of the audit."""


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class RouteEvents:
    """Routes the events of one installation for as long as there is one."""

    @workflow.init
    def __init__(self, state: RouterState) -> None:
        self._tables = {table.policy: table for table in state.tables}
        self._bursts = list(state.bursts)
        self._arrived = list(state.arrived)
        self._cursor = state.cursor
        self._follower: asyncio.Task[None] | None = None
        self._followed: tuple[str, ...] = ()
        self._trouble: str | None = None

    @workflow.run
    async def run(self, state: RouterState) -> None:
        """Hear, let settle, hand over; go on with a fresh history when this one has become long."""
        while True:
            self._follow_the_hub()
            await self._wait()
            if workflow.info().is_continue_as_new_suggested():
                await self._go_on_afresh()
            while self._arrived:
                await self._hear(self._arrived[:MOST_AT_ONCE])
            await self._begin_what_has_settled()

    @workflow.signal
    def hear(self, telling: Telling) -> None:
        """Hear of some events."""
        self._arrived += telling.events
        self._cursor = telling.cursor or self._cursor

    @workflow.update
    async def put_routes(self, table: PolicyRoutes) -> None:
        """Take the routes of a policy in place of those that it had; what settles goes on as it began."""
        self._tables[table.policy] = table

    @workflow.update
    async def remove_routes(self, policy: str) -> None:
        """Forget the routes of a policy, and what settles for it."""
        self._tables.pop(policy, None)
        self._bursts = [burst for burst in self._bursts if burst.policy != policy]

    @workflow.query
    def status(self) -> RouterStatus:
        """Tell the routes and what settles."""
        return RouterStatus(
            tables=tuple(self._tables.values()),
            bursts=tuple(self._bursts),
            waiting=len(self._arrived),
            trouble=self._trouble,
        )

    # Waiting.

    async def _wait(self) -> None:
        left = min((burst.due for burst in self._bursts), default=None)
        try:
            await workflow.wait_condition(
                lambda: bool(self._arrived) or self._wanted_of_hub() != self._followed,
                timeout=None if left is None else max(left - workflow.now(), timedelta(0)),
            )
        except TimeoutError:
            return

    # Hearing.

    async def _hear(self, events: list[CloudEvent]) -> None:
        told = [
            ToldEvent(event=event, matched=tuple(self._matched(event)), token=str(workflow.uuid4())) for event in events
        ]
        told = [one for one in told if one.matched or one.event.type not in KEPT_ELSEWHERE]
        answers: list[HeardEvent] = []
        if told:
            answers = await self._written(told)
        for one, answer in zip(told, answers, strict=True):
            if answer.first:
                for matched in answer.matched:
                    self._settle(one.event, matched)
        del self._arrived[: len(events)]

    async def _written(self, told: list[ToldEvent]) -> list[HeardEvent]:
        """Write events into the audit; one that can never be written costs only itself."""
        try:
            return await workflow.execute_local_activity_method(Events.hear_events, tuple(told), **AT_ONCE)
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
                    yield Matched(policy=table.policy, trigger=route.trigger)

    def _settle(self, event: CloudEvent, matched: Matched) -> None:
        table = self._tables.get(matched.policy)
        route = next((one for one in table.routes if one.trigger == matched.trigger), None) if table else None
        if table is None or route is None:  # It was removed meanwhile.
            return
        sites = sites_for(table, route, event)
        for place, burst in enumerate(self._bursts):
            if (burst.policy, burst.route, burst.sites) == (table.policy, route, sites) and route.settle:
                self._bursts[place] = burst.model_copy(update={"count": burst.count + 1})
                return
        self._bursts.append(
            Burst(
                policy=table.policy,
                version=table.version,
                digest=table.digest,
                sites=sites,
                route=route,
                first=event.key,
                first_text=event.text,
                count=1,
                due=workflow.now() + route.settle,
            )
        )

    # Handing over.

    async def _begin_what_has_settled(self) -> None:
        due = [burst for burst in self._bursts if burst.due <= workflow.now()]
        await asyncio.gather(*(self._hand_over(burst) for burst in due))
        self._bursts = [burst for burst in self._bursts if burst not in due]

    async def _hand_over(self, burst: Burst) -> None:
        try:
            await workflow.execute_local_activity_method(Events.hand_over, burst, **AT_ONCE)
        except FailureError as error:
            # Only what no further try can mend ends here; the events stay listed, and can be replayed.
            self._trouble = f"{burst.policy} could not be started for {burst.first_text}: {error.__cause__ or error}"
            workflow.logger.exception("a burst could not be handed over")

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

    async def _go_on_afresh(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(
            RouterState(
                tables=tuple(self._tables.values()),
                bursts=tuple(self._bursts),
                arrived=tuple(self._arrived),
                cursor=self._cursor,
            )
        )
