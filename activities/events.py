"""What the router does in the world: keeps each event once, and hands wishes to the desks."""

from dataclasses import dataclass

from temporalio import activity
from temporalio.client import Client

from activities.applied_policies import AppliedPolicies
from activities.audit import Audit, AuditRecord, Event
from activities.router_line import RouterLine
from activities.starting import hand_in, start_key
from workflows.bursts import Burst, HeardEvent, ToldEvent
from workflows.events import OURS, RUN_ENDED, CloudEvent
from workflows.routes import Matched, PolicyRoutes, table_of
from workflows.run import EndedRun, RunRequest
from workflows.starts import Cause, StartState, wish_for


@dataclass
class Events:
    """The activities."""

    client: Client
    audit: Audit
    applied: AppliedPolicies
    task_queue: str

    def __post_init__(self) -> None:
        self._router = RouterLine(self.client, self.task_queue)

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
            if stored.body.get("token") != one.token:
                answers.append(HeardEvent(first=False))
                continue
            matched = tuple(Matched.model_validate(each) for each in stored.body["matched"])
            # Written by a task that was lost, and done again when other routes stood: what is written counts.
            former = [await self._former(each) for each in matched if each.digest and each not in one.matched]
            answers.append(HeardEvent(first=True, matched=matched, former=tuple(former)))
        return answers

    async def _former(self, matched: Matched) -> PolicyRoutes:
        return table_of(await self.applied.read(matched.digest), matched.version, trigger=matched.trigger)

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
    async def tell_dropped(self, bursts: tuple[Burst, ...]) -> None:
        """Tell of bursts whose policy lost its routes before they began: each is a start that is skipped."""
        why = "the policy was removed, or starts for no event any more, while the events settled"
        records = []
        for burst in bursts:
            for site in burst.sites:
                body = {
                    "policy": burst.policy,
                    "site": site,
                    "kind": burst.route.kind,
                    "text": burst.text,
                    "scheduled": None,
                }
                key, actor = burst.key_at(site), burst.route.kind
                wished = {**body, "version": burst.version, "overlap": "queue_one"}
                records += [
                    AuditRecord(event=Event.START_WISHED, actor=actor, key=start_key(key), body=wished),
                    AuditRecord(
                        event=Event.START_SKIPPED,
                        actor="engine",
                        key=start_key(key, StartState.SKIPPED),
                        body={**body, "why": why},
                    ),
                ]
        await self.audit.write(*records)

    @activity.defn
    async def tell_run_ended(self, ended: EndedRun) -> None:
        """Tell the router that a run ended."""
        event = CloudEvent(
            id=ended.run, source=OURS, type=RUN_ENDED, data=ended.model_dump(mode="json"), subject=ended.policy
        )
        await self._router.tell([event])
