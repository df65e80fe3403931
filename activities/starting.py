"""What a desk does in the world: notes who wants a run, learns whether it may begin, follows it to its end."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.applied_policies import AppliedPolicies, Newest, Unreadable
from activities.audit import Audit, AuditRecord, Event
from activities.heartbeat import beating
from activities.holds import Holds, held_by
from workflows.ids import desk_id
from workflows.payload import Payload
from workflows.plan import OutcomeCounts, Plan
from workflows.run import Person, RunState
from workflows.scheduled import ScheduledStart
from workflows.starts import DeskState, Start, StartState, Wish
from workflows.units import duration_text

_LONGEST_KEY = 300

_EVENTS = {
    StartState.BEGUN: Event.START_BEGUN,
    StartState.QUEUED: Event.START_QUEUED,
    StartState.SKIPPED: Event.START_SKIPPED,
}


class Answered(Payload):
    """What became of a wish, if that is decided already."""

    start: Start | None


class Asking(Payload):
    """What is to be known of a wish to tell whether it may begin."""

    key: str
    policy: str
    version: int | None
    labels: dict[str, str]


class AskingAll(Payload):
    """The wishes of a site that may begin if nothing stands in their way."""

    site: str
    wishes: tuple[Asking, ...]


class Room(Payload):
    """What stands in the way of starts at this moment, by their keys, and how many runs the site may have at once.

    `held` may begin later; `gone` may not: its policy was removed.
    """

    asked: frozenset[str]
    held: dict[str, str]
    gone: dict[str, str]
    most_runs: int


class Renewed(Payload):
    """A wish with the policy as it is applied now; `gone` says why there is none."""

    wish: Wish | None
    gone: str = ""


class Decided(Payload):
    """What a desk decided about a wish."""

    wish: Wish
    start: Start
    waited_s: float = 0.0


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
    applied: AppliedPolicies
    task_queue: str
    most_runs: int

    @activity.defn
    async def hear_wish(self, wish: Wish) -> Answered:
        """Write the wish into the audit, once under its key, and tell what became of it if it was told before."""
        body = {**_about(wish), "version": wish.version, "overlap": wish.overlap}
        record = AuditRecord(event=Event.START_WISHED, actor=wish.actor, key=start_key(wish.key), body=body)
        stored = (await self.audit.write(record))[0]
        if stored.event == Event.START_MISSED:
            return Answered(start=Start(key=wish.key, state=StartState.SKIPPED, why=stored.body["why"]))
        return Answered(start=await self._decision(wish.key))

    async def _decision(self, key: str) -> Start | None:
        for state in (StartState.BEGUN, StartState.SKIPPED):
            record = await self.audit.find(start_key(key, state))
            if record is not None:
                return Start(key=key, state=state, run=record.body.get("run"), why=record.body.get("why", ""))
        return None

    @activity.defn
    async def look_for_room(self, asking: AskingAll) -> Room:
        """Tell which starts somebody holds back, which are of removed policies, and how many runs the site may have."""
        standing = await asyncio.to_thread(self.holds.standing)
        held: dict[str, str] = {}
        gone: dict[str, str] = {}
        for one in asking.wishes:
            hold = held_by(standing, one.policy, asking.site, one.labels)
            if hold is not None:
                held[one.key] = f"{hold}; `{hold.remedy}` ends that"
            if one.version is None:
                continue
            try:
                _, why = await self._newest(one.policy, one.version, asking.site)
            except Unreadable as error:  # Somebody may mend it, and it is nothing to the other starts.
                held[one.key] = str(error)
            else:
                if why:
                    gone[one.key] = why
        asked = frozenset(one.key for one in asking.wishes)
        return Room(asked=asked, held=held, gone=gone, most_runs=self.most_runs)

    @activity.defn
    async def renew_wish(self, wish: Wish) -> Renewed:
        """Give the wish with the newest version of its policy: what was changed while it waited, counts."""
        if wish.version is None:
            return Renewed(wish=wish)
        try:
            newest, gone = await self._newest(wish.policy, wish.version, wish.site)
        except Unreadable as error:
            return Renewed(wish=None, gone=str(error))
        if newest is not None and wish.cause.kind == "threshold":
            # The watcher made its request out of the policy and of what it measured: let it decide again.
            return Renewed(
                wish=None, gone=gone or f"policy {wish.policy} was changed meanwhile (version {newest.number})"
            )
        if newest is None or newest.policy is None:
            return Renewed(wish=None if gone else wish, gone=gone)
        policy = newest.policy.at(wish.site)
        request = wish.read_request().model_copy(update={"policy": policy, "version": newest.number})
        update = {"request": request.model_dump_json(), "version": newest.number, "labels": policy.labels}
        return Renewed(wish=wish.model_copy(update=update))

    async def _newest(self, policy: str, version: int, site: str) -> tuple[Newest | None, str]:
        newest = await self.applied.after(policy, version)
        if newest is None:
            return None, ""
        if newest.policy is None:
            return newest, f"policy {policy} was removed (change {newest.number})"
        if not newest.policy.enabled:
            return newest, f"policy {policy} is disabled since version {newest.number}"
        if site not in newest.policy.all_sites:
            return newest, f"policy {policy} does not run at {site} since version {newest.number}"
        return newest, ""

    @activity.defn
    async def record_decision(self, decided: Decided) -> None:
        """Write into the audit what a desk decided."""
        wish, start = decided.wish, decided.start
        begun = {"run": start.run, "waited_s": decided.waited_s}
        body = {**_about(wish), **(begun if start.state is StartState.BEGUN else {"why": start.why})}
        key = start_key(wish.key, start.state)
        await self.audit.write(AuditRecord(event=_EVENTS[start.state], actor=wish.actor, key=key, body=body))

    @activity.defn
    async def record_refusal(self, decided: Decided) -> None:
        """Write into the audit that a wish cannot be met, in words that any audit takes."""
        about = {name: _plain(value) for name, value in _about(decided.wish).items()}
        body = {**about, "why": _plain(decided.start.why)}
        key = start_key(decided.wish.key, StartState.SKIPPED)
        await self.audit.write(AuditRecord(event=Event.START_SKIPPED, actor="engine", key=key, body=body))

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
            handle = self.client.get_workflow_handle(cancel.run)
            await handle.start_update("cancel", cancel.person, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
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
    state = DeskState(site=wish.site, queue=task_queue)
    await client.start_workflow(
        "RunDesk",
        state,
        id=desk_id(task_queue, wish.site),
        task_queue=task_queue,
        start_signal="want",
        start_signal_args=[wish],
    )


def start_key(key: str, what: str = "") -> str:
    """Give the audit's key of a start; a key that is long or holds what no audit keeps goes by its hash."""
    if len(key) > _LONGEST_KEY or not key.isprintable():
        key = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"start/{key}/{what}" if what else f"start/{key}"


def asking(site: str, wishes: Iterable[Wish]) -> AskingAll:
    """Ask whether wishes may begin."""
    return AskingAll(
        site=site,
        wishes=tuple(
            Asking(key=wish.key, policy=wish.policy, version=wish.version, labels=wish.labels) for wish in wishes
        ),
    )


def missed_start(
    start: ScheduledStart,
    meant: datetime,
    *,
    key: str | None = None,
    text: str | None = None,
    why: str | None = None,
) -> AuditRecord:
    """Tell of a scheduled start that came too late, or not at all; it has the key of the start's wish.

    Key, text and reason are the trigger's own and its `catch_up`, where nothing else is given.
    """
    body = {
        "policy": start.policy.name,
        "site": start.site,
        "kind": "schedule",
        "text": text or start.text,
        "scheduled": meant.isoformat(),
        "why": why or f"nothing could start it within {duration_text(start.schedule.catch_up)} of its time (catch_up)",
    }
    return AuditRecord(event=Event.START_MISSED, actor="engine", key=start_key(key or start.key_at(meant)), body=body)


def _about(wish: Wish) -> dict[str, str | None]:
    cause = wish.cause
    return {
        "policy": wish.policy,
        "site": wish.site,
        "kind": cause.kind,
        "text": cause.text,
        "scheduled": None if cause.scheduled is None else cause.scheduled.isoformat(),
    }


def _plain(text: str | None) -> str | None:
    return None if text is None else ascii(text[:_LONGEST_KEY])[1:-1]
