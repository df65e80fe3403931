"""The open runs that a freeze pauses and a thaw lets go, each for itself: one that has ended stops no other."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from temporalio.service import RPCError

from activities.holds import Hold
from orchestrator.engine import Engine
from orchestrator.runs import (
    NoSuchRun,
    RunError,
    RunOver,
    RunSummary,
    list_runs,
    pause,
    resume,
    run_status,
    run_summary,
)
from workflows.run import RunStatus

_AT_ONCE = 20
_ANSWER_S = 30.0
_SETTLE = 1.5
"""Seconds between two looks: a desk that saw no hold has begun its run by then, and the list of runs shows it."""
_MOST_LOOKS = 20


@dataclass
class Steered:
    """What became of runs: those that were steered, who still pauses some of them, and why others did not answer."""

    done: list[str] = field(default_factory=list)
    still: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


async def pause_covered(engine: Engine, hold: Hold) -> Steered:
    """Pause every open run that a freeze covers, also one that was just beginning when it was set."""
    steered, seen = Steered(), set[str]()

    async def act(run: str) -> RunStatus:
        return await pause(engine.client, run, actor=hold.actor, reason=hold.reason, freeze=hold.number)

    for look in range(_MOST_LOOKS):
        new = [run for run in await _open_runs(engine, hold) if run not in seen]
        if look and not new:
            break
        seen.update(new)
        await _each(new, act, steered)
        await asyncio.sleep(_SETTLE)
    return steered


async def let_go(engine: Engine, hold: Hold, *, actor: str, reason: str) -> Steered:
    """Take a freeze's pause from every open run that has it; a run goes on unless somebody else pauses it."""
    steered = Steered()
    why = f"thawed: {reason}" if reason else "thawed"

    async def act(run: str) -> RunStatus | None:
        if all(one.freeze != hold.number for one in (await run_status(engine.client, run)).pausers):
            return None
        return await resume(engine.client, run, actor=actor, reason=why, people=False, freezes=(hold.number,))

    await _each(await _open_runs(engine, hold), act, steered)
    return steered


async def _open_runs(engine: Engine, hold: Hold) -> list[str]:
    """Name the open runs of this installation that a freeze covers, by Temporal's list and by the desks' books."""
    client, queue = engine.client, engine.settings.task_queue
    found = {run.run: run for run in await list_runs(client, queue, is_open=True, limit=None)}
    async for run in engine.desks.open_runs():
        if run not in found:
            try:
                found[run] = await run_summary(client, run)
            except NoSuchRun:
                continue
    return [name for name, run in found.items() if run.finished is None and _covers(hold, run)]


def _covers(hold: Hold, run: RunSummary) -> bool:
    return hold.covers(run.policy, run.site, run.labels)


async def _each(runs: list[str], act: Callable[[str], Awaitable[RunStatus | None]], steered: Steered) -> None:
    """Steer runs, some at once; what becomes of one is noted, and is nothing to the others."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def steer(run: str) -> None:
        async with gate:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    status = await act(run)
            except RunOver:
                return
            except TimeoutError:
                steered.failed[run] = f"it did not answer in {_ANSWER_S:.0f} s"
            except (RunError, RPCError) as error:
                steered.failed[run] = str(error)
            else:
                if status is not None:
                    steered.done.append(run)
                    if status.paused_by is not None:
                        steered.still[run] = status.paused_by

    await asyncio.gather(*map(steer, runs))
