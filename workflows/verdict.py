"""How a run ended, and what an open one waits for: plain answers from what is known."""

from datetime import datetime

from workflows.plan import OutcomeCounts, Plan
from workflows.run import ApprovalWanted, Pauser, Phase, RunState, Steering, Stop


def verdict(
    *, ended_early: RunState | None, stop: Stop | None, trouble: str | None, plan: Plan | None, outcomes: OutcomeCounts
) -> tuple[RunState, str | None]:
    """Give the final state and what went wrong; counts that do not add up are a failure, whatever else happened."""
    if ended_early is not None:
        return ended_early, trouble
    planned = plan.files if plan else 0
    if outcomes.total != planned:
        odd = f"{outcomes.total:,} outcomes do not add up to {planned:,} planned files"
        return RunState.FAILED, trouble or odd
    if stop is not None and stop.state is RunState.CANCELLED:
        return RunState.CANCELLED, trouble
    trouble = trouble or (stop.why if stop else None)
    if trouble or outcomes.failed or outcomes.cancelled:
        return RunState.FAILED, trouble
    return RunState.SUCCEEDED, None


def shown_state(
    phase: Phase, state: RunState, steering: Steering, next_try: datetime | None, held: str | None = None
) -> RunState:
    """Give the state that people see; until the end it follows from how the run is steered."""
    if phase is Phase.OVER or state in (RunState.REFUSED, RunState.EXPIRED):
        return state
    if steering.stop is not None:
        return RunState.CANCELLING
    if steering.paused_by is not None:
        return RunState.PAUSED
    return RunState.WAITING if next_try or held or phase is Phase.APPROVAL else RunState.RUNNING


def waits_for(
    phase: Phase,
    steering: Steering,
    next_try: datetime | None,
    approval: ApprovalWanted | None = None,
    pausers: tuple[Pauser, ...] = (),
    stage: str | None = None,
    held: str | None = None,
) -> str | None:
    """Say what an open run waits for, as the end of the sentence "it waits for"; None when it is at work.

    `held` is what its windows and its breaker wait for.
    """
    if phase is Phase.OVER:
        return None
    if phase is Phase.REPORT:
        return "the account of every file"
    if steering.stop is not None:
        return "the jobs in flight to end" if steering.stop.keep_jobs else "the Hub to end the jobs in flight"
    if steering.paused_by is not None:
        return " and ".join(map(_release, pausers))
    if approval is not None:
        return f"approval until {approval.expires:%Y-%m-%d %H:%M} UTC, since {approval.why}"
    if stage is not None:
        return stage
    if next_try is not None:
        return f"the next try of failed files at {next_try:%Y-%m-%d %H:%M:%S} UTC"
    return held


def _release(pauser: Pauser) -> str:
    """Say what must happen for a pause to end."""
    why = f" ({pauser.reason})" if pauser.reason else ""
    if pauser.freeze is not None:
        return f"the end of freeze {pauser.freeze} by {pauser.actor}{why}"
    if pauser.until is not None:
        return f"the end of {pauser.actor}'s pause at {pauser.until:%Y-%m-%d %H:%M:%S} UTC{why}"
    return f"somebody to resume it: {pauser.actor} paused it{why}"
