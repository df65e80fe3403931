"""What the router does in the world: keeps each event once, and hands wishes to the desks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from temporalio import activity
from temporalio.client import Client

from activities.applied_policies import AppliedPolicies
from activities.audit import Audit, AuditRecord, Event
from activities.starting import hand_in
from workflows.bursts import Burst, HeardEvent, RouterState, ToldEvent
from workflows.events import MOST_TOGETHER, OURS, RUN_ENDED, CloudEvent, HubCursor, Telling
from workflows.ids import router_id
from workflows.routes import Matched
from workflows.run import EndedRun, RunRequest
from workflows.starts import Cause, wish_for


@dataclass
class Events:
    """The activities."""

    client: Client
    audit: Audit
    applied: AppliedPolicies
    task_queue: str

    @activity.defn
    async def hear_events(self, told: tuple[ToldEvent, ...]) -> list[HeardEvent]:
        """Write each event into the audit, once under its key, and tell which are new and where they go."""
        records = [
            AuditRecord(
                event=Event.EVENT_RECEIVED,
                actor=one.event.source,
                key=one.event.key,
                body={
                    **one.event.model_dump(mode="json"),
                    "matched": [matched.model_dump() for matched in one.matched],
                    "token": one.token,
                },
            )
            for one in told
        ]
        answers = []
        for one, stored in zip(told, await self.audit.write(*records), strict=True):
            first = stored.body.get("token") == one.token
            matched = tuple(Matched.model_validate(each) for each in stored.body["matched"])
            answers.append(HeardEvent(first=first, matched=matched if first else ()))
        return answers

    @activity.defn
    async def hand_over(self, burst: Burst) -> None:
        """Hand a wish for each site to its desk; the policy is the applied one, as the storage has it."""
        policy = await self.applied.read(burst.digest)
        for site in burst.sites:
            request = RunRequest(
                run="", policy=policy.at(site), version=burst.version, actor=burst.route.kind, reason=burst.text
            )
            cause = Cause(kind=burst.route.kind, text=burst.text)
            await hand_in(self.client, self.task_queue, wish_for(key=burst.key_at(site), request=request, cause=cause))

    @activity.defn
    async def tell_run_ended(self, ended: EndedRun) -> None:
        """Tell the router that a run ended."""
        event = CloudEvent(
            id=ended.run, source=OURS, type=RUN_ENDED, data=ended.model_dump(mode="json"), subject=ended.policy
        )
        await tell_router(self.client, self.task_queue, [event])


async def tell_router(
    client: Client, task_queue: str, events: Sequence[CloudEvent], cursor: HubCursor | None = None
) -> None:
    """Tell the router of events, durably: each is heard as soon as a worker works. Raises RPCError."""
    for together in _together(events) if events else [()]:
        await client.start_workflow(
            "RouteEvents",
            RouterState(),
            id=router_id(task_queue),
            task_queue=task_queue,
            start_signal="hear",
            start_signal_args=[Telling(events=tuple(together), cursor=cursor)],
        )


def _together(events: Sequence[CloudEvent]) -> Iterator[Sequence[CloudEvent]]:
    group: list[CloudEvent] = []
    size = 0
    for event in events:
        length = len(event.model_dump_json())
        if group and size + length > MOST_TOGETHER:
            yield group
            group, size = [], 0
        group.append(event)
        size += length
    if group:
        yield group
