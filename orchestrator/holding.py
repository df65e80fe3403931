"""Pausing a policy and freezing many: nothing new begins until somebody lets it, and then all is as it was before."""

from activities.holds import Hold
from activities.schedules import set_paused
from orchestrator.engine import Engine
from orchestrator.runs import RunError, RunSummary, list_runs, pause, resume, run_status
from workflows.ids import desk_id
from workflows.run_desk import RunDesk

_MOST_RUNS = 10_000


async def pause_policy(engine: Engine, policy: str, *, actor: str, reason: str, key: str) -> Hold:
    """Let a policy start nothing; its Schedules are paused in Temporal too, where everybody sees it."""
    hold = engine.holds.put("pause", actor=actor, reason=reason, key=key, policy=policy)
    for there in await engine.schedules.there():
        if there.policy == policy and not there.paused:
            await set_paused(engine.client, there.id, True, f"{actor}: {reason}" if reason else actor)
    return hold


async def resume_policy(engine: Engine, policy: str, *, actor: str, reason: str) -> int:
    """Let a policy start again, whoever paused it here or in Temporal; give how many pauses were lifted."""
    holds = [hold for hold in engine.holds.standing() if hold.kind == "pause" and hold.policy == policy]
    for hold in holds:
        engine.holds.lift(hold, actor=actor, reason=reason)
    paused = [there for there in await engine.schedules.there() if there.policy == policy and there.paused]
    for there in paused:
        await set_paused(engine.client, there.id, False, f"resumed by {actor}")
    await _look_again(engine)
    return max(len(holds), len(paused))


async def freeze(
    engine: Engine, *, site: str | None, label: tuple[str, str] | None, runs: bool, actor: str, reason: str, key: str
) -> tuple[Hold, list[str]]:
    """Let nothing begin that the site and the label cover; with `runs` pause the open runs too, and name them."""
    hold = engine.holds.put("freeze", actor=actor, reason=reason, key=key, site=site, label=label)
    if not runs:
        return hold, []
    paused = []
    for run in await _open_runs(engine):
        if hold.covers(run.policy, run.site, run.labels) and await _pause_with(engine, run.run, hold):
            paused.append(run.run)
    return hold, paused


async def thaw(engine: Engine, hold: Hold, *, actor: str, reason: str) -> list[str]:
    """Lift a freeze, and let the runs go on that it paused; what somebody had paused before stays so."""
    engine.holds.lift(hold, actor=actor, reason=reason)
    resumed = []
    for run in await _open_runs(engine):
        if (await run_status(engine.client, run.run)).paused_by == _with(hold):
            await resume(engine.client, run.run, actor=actor, reason=f"thawed: {reason}" if reason else "thawed")
            resumed.append(run.run)
    await _look_again(engine)
    return resumed


def _with(hold: Hold) -> str:
    """Name who pauses a run for a freeze: by this name a thaw knows the runs again, also after a crash."""
    return f"{hold.actor} (freeze {hold.number})"


async def _pause_with(engine: Engine, run: str, hold: Hold) -> bool:
    if (await run_status(engine.client, run)).paused_by is not None:
        return False
    try:
        await pause(engine.client, run, actor=_with(hold), reason=hold.reason)
    except RunError:  # It has ended meanwhile.
        return False
    return True


async def _open_runs(engine: Engine) -> list[RunSummary]:
    return [run for run in await list_runs(engine.client, limit=_MOST_RUNS) if run.finished is None]


async def _look_again(engine: Engine) -> None:
    """Let every desk look at what waits."""
    prefix = desk_id(engine.settings.task_queue, "")
    async for desk in engine.client.list_workflows("WorkflowType = 'RunDesk' AND ExecutionStatus = 'Running'"):
        if desk.id.startswith(prefix):
            await engine.client.get_workflow_handle(desk.id).signal(RunDesk.look)
