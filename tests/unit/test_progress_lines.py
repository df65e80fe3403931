"""What a person reads of a run that goes on: what it does, what it waits for, and only figures that mean something."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.cli.progress import detail, doing, headline, moves, waits_for
from workflows.plan import OutcomeCounts, Plan
from workflows.progress import RunProgress, combine
from workflows.run import Phase, RunState, RunStatus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PLAN = Plan(digest="d", manifest="plans/d", policy_digest="p", as_of_us=0, files=100, bytes=1000, batches=1)


def progress(state: RunState, phase: Phase, trouble: str | None = None, **more: Any) -> RunProgress:
    status = RunStatus(run="r", policy="p", state=state, phase=phase, started=NOW - timedelta(hours=1), **more)
    return combine(status, (), (), datetime.now(UTC), trouble)


def test_a_run_that_cannot_reach_the_hub_says_why() -> None:
    one = progress(RunState.RUNNING, Phase.PREFLIGHT, "Unreachable: GET /sites/: no connection")
    assert headline(one) == "asking the Hub: GET /sites/: no connection"
    assert waits_for(one) == "GET /sites/: no connection"


def test_a_paused_run_names_who_paused_it_and_promises_no_end() -> None:
    facts: dict[str, Any] = {"plan": PLAN, "counts": OutcomeCounts(done=10, bytes_done=100), "work_started": NOW}
    one = progress(RunState.PAUSED, Phase.WORK, waits_for="somebody to resume it: root@vm paused it", **facts)
    assert doing(one) == "paused"
    assert headline(one) == "paused, waits for somebody to resume it: root@vm paused it"
    assert not moves(one)
    assert "/s" not in detail(one) and "left" not in detail(one)
    going = progress(RunState.RUNNING, Phase.WORK, **facts)
    assert "left" in detail(going)


def test_the_account_is_closed_without_waiting_for_itself() -> None:
    one = progress(RunState.RUNNING, Phase.REPORT, waits_for="the account of every file")
    assert headline(one) == "closing the account"
