"""Starts runs, asks them, steers them and reads how they ended; where they stand: `orchestrator.reporting`."""

import asyncio
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.holds import check_note
from activities.starting import hand_in
from orchestrator.settings import Settings
from workflows.ids import desk_id
from workflows.interfaces import RunDesk, RunPolicy
from workflows.payload import Payload
from workflows.policy import Policy
from workflows.run import (
    Cancelling,
    Decision,
    NewLimits,
    Pausing,
    Person,
    Resuming,
    Retries,
    RetryingFailed,
    RunReport,
    RunRequest,
    RunState,
    RunStatus,
    SkippingStage,
)
from workflows.starts import Cause, Start, StartState, Wish, wish_for

LATEST_RUNS = "WorkflowType = 'RunPolicy' AND ExecutionStatus != 'ContinuedAsNew'"
"""A run that went on with a fresh history counts once."""

ANSWERED_WITHIN = 15.0
"""Seconds in which a desk answers; a worker that has just been started needs a few of them."""


class RunError(Exception):
    """What was asked of a run cannot be done; the text says why and what to do."""


class NoSuchRun(RunError):
    """Temporal knows no run of this name: `orchestrator runs list` shows those that it knows."""


class RunOver(RunError):
    """The run has ended: nothing is left to pause, to resume or to cancel."""


class RunSummary(Payload):
    """One line in the list of runs; `state` of an open run is its last announced one."""

    run: str
    policy: str
    state: str
    actor: str
    reason: str
    started: datetime
    finished: datetime | None
    site: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


async def start_run(
    client: Client,
    settings: Settings,
    policy: Policy,
    *,
    actor: str,
    reason: str,
    as_of: datetime | None = None,
    version: int | None = None,
) -> str:
    """Start one execution of a policy now and give its name; raises RunError when it does not begin."""
    start = await ask_for_run(client, settings, policy, actor=actor, reason=reason, as_of=as_of, version=version)
    return began(start, policy.name)


def began(start: Start, policy: str) -> str:
    """Give the run of a start, which may still wait for its turn; raises RunError when it does not begin."""
    if start.state is StartState.SKIPPED or start.run is None:
        raise RunError(f"policy {policy} does not start: {start.why}")
    return start.run


async def ask_for_run(
    client: Client,
    settings: Settings,
    policy: Policy,
    *,
    actor: str,
    reason: str,
    as_of: datetime | None = None,
    version: int | None = None,
    retries: Retries | None = None,
    within: float = ANSWERED_WITHIN,
    once: str | None = None,
) -> Start:
    """Ask the desk of the policy's site for a run and give its answer.

    The wish is durable. Without an answer in time the run is queued: it begins when a worker works. Whoever asks again
    with the same `once` is answered with the same run.
    """
    run = new_run_name(policy.name, datetime.now(UTC))
    request = RunRequest(
        run=run,
        policy=policy,
        version=version,
        actor=actor,
        reason=reason,
        as_of_us=None if as_of is None else round(as_of.timestamp() * 1_000_000),
        retries=retries,
    )
    wish = wish_for(
        key=run if once is None else f"once/{once}",
        request=request,
        cause=Cause(kind="manual", text=reason),
        overlap="skip",
    )
    await hand_in(client, settings.task_queue, wish)
    return await _answer(client, settings, wish, within)


def new_run_name(policy: str, now: datetime) -> str:
    """Make a name that sorts by time and fits into file names, e.g. `archive-cold-media-20261123T220000Z-4f2a91c7`."""
    return f"{policy}-{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


async def run_status(client: Client, run: str) -> RunStatus:
    """Ask the run itself; a closed one answers from its history."""
    status: RunStatus = await ask(client.get_workflow_handle_for(RunPolicy.run, run), RunPolicy.status, run)
    return status


async def run_report(client: Client, run: str) -> RunReport:
    """Wait for the end of a run and give its report; raises RunError when it ended without one."""
    handle = client.get_workflow_handle_for(RunPolicy.run, run)
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        raise RunError(f"run {run} ended without a report: {error.cause or error}") from error
    except RPCError as error:
        raise _translated(error, run) from error


async def list_runs(
    client: Client, queue: str, *, policy: str | None = None, is_open: bool = False, limit: int | None = 50
) -> list[RunSummary]:
    """Give the newest runs of the installation with this task queue, first the newest; without a limit all of them."""
    query = f"{LATEST_RUNS} AND {of_queue(queue)}"
    query += " AND ExecutionStatus = 'Running'" if is_open else ""
    query += "" if policy is None else f" AND WorkflowId STARTS_WITH {quoted(policy + '-')}"
    found: list[RunSummary] = []
    async for execution in client.list_workflows(query, page_size=1000 if limit is None else min(limit + 1, 1000)):
        if limit is not None and len(found) == limit:
            break
        if execution.task_queue != queue:
            continue
        summary = await summary_of(execution)
        if policy is None or summary.policy == policy:
            found.append(summary)
    return found


async def run_summary(client: Client, run: str) -> RunSummary:
    """Give one run's line of the list, as it is now: a list follows a second or so behind. Raises NoSuchRun."""
    try:
        return await summary_of(await client.get_workflow_handle(run).describe())
    except RPCError as error:
        raise _translated(error, run) from error


def of_queue(queue: str) -> str:
    """Write the part of a visibility query that lets another installation's workflows be.

    Temporal finds no text with a double quote in it: then every one is listed, and the caller looks at its queue.
    """
    return "TaskQueue != ''" if '"' in queue else f"TaskQueue = {quoted(queue)}"


def quoted(word: str) -> str:
    """Write a text as a visibility query has it."""
    return "'" + word.replace("'", "''") + "'"


async def pause(
    client: Client,
    run: str,
    *,
    actor: str,
    reason: str = "",
    freeze: int | None = None,
    until: datetime | None = None,
) -> RunStatus:
    """Begin nothing more in this run until whoever pauses it resumes it, or until a moment.

    It is paused by a person or, with its number, by a freeze.
    """
    check_note(reason)
    pausing = Pausing(actor=actor, reason=reason, freeze=freeze, until=until)
    return await _update(client, run, RunPolicy.pause, pausing)


async def resume(
    client: Client, run: str, *, actor: str, reason: str = "", people: bool = True, freezes: tuple[int, ...] = ()
) -> RunStatus:
    """Lift what people paused, or what these freezes did; the run goes on when nobody pauses it any more."""
    check_note(reason)
    resuming = Resuming(actor=actor, reason=reason, people=people, freezes=freezes)
    return await _update(client, run, RunPolicy.resume, resuming)


async def cancel(client: Client, run: str, *, actor: str, reason: str = "", keep_jobs: bool = False) -> RunStatus:
    """End a run: nothing more begins, every file is accounted for.

    The Hub's jobs in flight are cancelled or, with `keep_jobs`, watched to their own end.
    """
    check_note(reason)
    return await _update(client, run, RunPolicy.cancel, Cancelling(actor=actor, reason=reason, keep_jobs=keep_jobs))


async def set_limits(client: Client, run: str, limits: NewLimits) -> RunStatus:
    """Change how fast an open run goes, from its next batch on."""
    check_note(limits.reason)
    return await _update(client, run, RunPolicy.set_limits, limits)


async def skip_stage(client: Client, run: str, *, actor: str, reason: str = "", number: int | None = None) -> RunStatus:
    """Leave a stage of a campaign out, the one that waits or a later one; raises RunError when that cannot be."""
    check_note(reason)
    return await _update(client, run, RunPolicy.skip_stage, SkippingStage(actor=actor, reason=reason, number=number))


async def retry_failed(
    client: Client, run: str, *, actor: str, reason: str = "", error: str = "", once: str | None = None
) -> RunStatus:
    """Try the failed files of an open run's stage again, in a further round; raises RunError when that cannot be."""
    check_note(reason)
    asking = RetryingFailed(actor=actor, reason=reason, error=error)
    return await _update(client, run, RunPolicy.retry_failed, asking, once=once)


async def decide(client: Client, run: str, *, actor: str, reason: str, digest: str, approved: bool) -> RunStatus:
    """Approve or reject the plan that a run waits with; raises RunError when that word cannot be taken."""
    check_note(reason)
    decision = Decision(actor=actor, reason=reason, digest=digest, approved=approved)
    return await _update(client, run, RunPolicy.decide, decision)


async def ask(handle: WorkflowHandle[Any, Any], query: Any, name: str) -> Any:
    """Put a query to a run or one of its parts; raises NoSuchRun, or RunError when it cannot answer."""
    try:
        return await handle.query(query)
    except WorkflowQueryFailedError as error:
        raise RunError(f"{name} cannot answer: {error}") from error
    except RPCError as error:
        raise _translated(error, name) from error


async def _update(client: Client, run: str, update: Any, person: Person, *, once: str | None = None) -> RunStatus:
    handle = client.get_workflow_handle_for(RunPolicy.run, run)
    try:
        status: RunStatus = await handle.execute_update(update, person, id=once)
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # The SDK hides whose end this is: ours, or the caller's time-out.
            raise asyncio.CancelledError from error
        raise TimeoutError(f"run {run} did not answer") from error
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        if not isinstance(cause, ApplicationError):
            raise RunError(str(error)) from error
        raise (RunOver if cause.type == "RunOver" else RunError)(cause.message) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            ended = await run_status(client, run)
            raise RunOver(f"run {run} is over: it ended {ended.state}") from error
        raise
    return status


async def until_begun(client: Client, settings: Settings, site: str, start: Start) -> Start:
    """Wait for the turn of a start that is queued; it may be skipped in the end."""
    while start.state is StartState.QUEUED:
        await asyncio.sleep(1)
        start = await _told(client, settings, site, start.key, within=60.0) or start
    return start


async def _answer(client: Client, settings: Settings, wish: Wish, within: float) -> Start:
    deadline, pause = time.monotonic() + within, 0.02
    while (left := deadline - time.monotonic()) > 0:
        start = await _told(client, settings, wish.site, wish.key, within=max(left, 0.1))
        if start is not None:
            return start
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    return Start(key=wish.key, state=StartState.QUEUED, run=wish.run, why="no worker has answered yet")


async def _told(client: Client, settings: Settings, site: str, key: str, *, within: float) -> Start | None:
    """Ask a desk about a start; None while it has not decided, or when no worker answers."""
    desk = client.get_workflow_handle_for(RunDesk.run, desk_id(settings.task_queue, site))
    try:
        return await desk.query(RunDesk.about, key, rpc_timeout=timedelta(seconds=within))
    except RPCError as error:
        if error.status not in _NOBODY_ANSWERS:
            raise
        return None


_NOBODY_ANSWERS = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)


async def summary_of(execution: WorkflowExecution) -> RunSummary:
    """Read one line of the list out of what Temporal keeps of a run."""
    memo = await execution.memo()
    state = str(memo.get("state", ""))
    closed_without_word = execution.status is not WorkflowExecutionStatus.RUNNING and not _is_final(state)
    return RunSummary(
        run=execution.id,
        policy=str(memo.get("policy", "")),
        state=str(RunState.FAILED) if closed_without_word else state,
        actor=str(memo.get("actor", "")),
        reason=str(memo.get("reason", "")),
        started=datetime.fromisoformat(memo["started"]) if "started" in memo else execution.start_time,
        finished=execution.close_time,
        site=memo.get("site"),
        labels=memo.get("labels") or {},
    )


def _is_final(state: str) -> bool:
    return state in {str(one) for one in RunState if one.final}


def _translated(error: RPCError, run: str) -> Exception:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NoSuchRun(f"no run {run}: 'orchestrator runs list' shows those there are")
    return error
