"""What a desk does in the world: notes who wants a run, learns whether it may begin, follows it to its end."""

import asyncio
from dataclasses import dataclass

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.audit import Audit, AuditRecord, Event
from activities.heartbeat import beating
from activities.holds import Holds
from workflows.ids import desk_id
from workflows.payload import Payload
from workflows.plan import OutcomeCounts, Plan
from workflows.run import Person, RunState
from workflows.starts import DeskState, Wish


class Told(Payload):
    """A wish as the desk heard it; `token` is of this one telling, so that another one under its key is known."""

    wish: Wish
    token: str


class Heard(Payload):
    """Whether this is the first telling of a wish."""

    first: bool


class Room(Payload):
    """What stands in the way of a start at this moment, and how many runs the site may have at once."""

    held: str | None
    most_runs: int


class RunEnd(Payload):
    """How a run ended: what it had planned, and what became of it."""

    state: RunState
    plan: Plan | None = None
    outcomes: OutcomeCounts = OutcomeCounts()
    trouble: str | None = None


class Ended(Payload):
    """Runs by their names: asked which of them have ended, answered with those."""

    runs: tuple[str, ...]


class Cancel(Payload):
    """A run that is to end, and who says so."""

    run: str
    person: Person


@dataclass
class Starts:
    """The activities; `most_runs` is how many runs a site may have at once."""

    client: Client
    audit: Audit
    holds: Holds
    task_queue: str
    most_runs: int

    @activity.defn
    async def hear_wish(self, told: Told) -> Heard:
        """Write the wish into the audit, once under its key, and tell whether it is new."""
        wish = told.wish
        body = {
            "policy": wish.policy,
            "site": wish.site,
            "version": wish.version,
            "kind": wish.cause.kind,
            "text": wish.cause.text,
            "scheduled": None if wish.cause.scheduled is None else wish.cause.scheduled.isoformat(),
            "overlap": wish.overlap,
            "token": told.token,
        }
        record = AuditRecord(event=Event.START_WISHED, actor=wish.actor, key=start_key(wish.key), body=body)
        stored = (await self.audit.write(record))[0]
        return Heard(first=stored.body.get("token") == told.token)

    @activity.defn
    async def look_for_room(self, wish: Wish) -> Room:
        """Tell whether somebody holds the policy or its site back, and how many runs the site may have."""
        hold = await asyncio.to_thread(self.holds.on, wish.policy, wish.site, wish.labels)
        return Room(held=None if hold is None else f"{hold}; `{hold.remedy}` ends that", most_runs=self.most_runs)

    @activity.defn
    async def follow_run(self, run: str) -> RunEnd:
        """Wait for the end of a run, whoever ends it and however."""
        async with beating(lambda: None):
            return await self.end_of(run)

    async def end_of(self, run: str) -> RunEnd:
        """Give the end of a run as soon as it has one."""
        try:
            return RunEnd.model_validate(await self.client.get_workflow_handle(run, result_type=RunEnd).result())
        except WorkflowFailureError:
            return RunEnd(state=RunState.FAILED)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:  # Temporal has forgotten it: it ended long ago.
                return RunEnd(state=RunState.FAILED)
            raise

    @activity.defn
    async def ended_ones(self, asked: Ended) -> Ended:
        """Give those of the runs that are over."""
        over = await asyncio.gather(*(self._is_over(run) for run in asked.runs))
        return Ended(runs=tuple(run for run, is_over in zip(asked.runs, over, strict=True) if is_over))

    async def _is_over(self, run: str) -> bool:
        try:
            described = await self.client.get_workflow_handle(run).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            raise
        return described.status is not WorkflowExecutionStatus.RUNNING

    @activity.defn
    async def cancel_run(self, cancel: Cancel) -> None:
        """Ask a run to end; one that is over has nothing left to cancel."""
        try:
            await self.client.get_workflow_handle(cancel.run).execute_update("cancel", cancel.person)
        except WorkflowUpdateFailedError:
            return
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    @activity.defn
    async def hand_in(self, wish: Wish) -> None:
        """Tell the desk of the wish's site; it is opened if nobody has needed it before."""
        await hand_in(self.client, self.task_queue, wish)


async def hand_in(client: Client, task_queue: str, wish: Wish) -> None:
    """Tell a desk of a wish, durably: it is heard as soon as a worker works."""
    state = DeskState(site=wish.site)
    await client.start_workflow(
        "RunDesk",
        state,
        id=desk_id(task_queue, wish.site),
        task_queue=task_queue,
        start_signal="want",
        start_signal_args=[wish],
    )


def start_key(key: str, what: str = "") -> str:
    """Give the audit's key of a start."""
    return f"start/{key}/{what}" if what else f"start/{key}"
