"""What a person reads of a run that goes on: what it does, what it waits for, and only figures that mean something."""

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.cli.progress import detail, doing, ends, facts, headline, moves, waits_for
from orchestrator.reporting.standing import EtaRange, Pace, Standing
from workflows.adapting import Between, SlotsStep
from workflows.plan import OutcomeCounts, Plan
from workflows.progress import RunProgress, combine
from workflows.run import Phase, RunState, RunStatus, StageRecord, StageState

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PLAN = Plan(digest="d", manifest="plans/d", policy_digest="p", as_of_us=0, files=100, bytes=1000, batches=1)
PACE = Pace(files_per_second=0.5, bytes_per_second=2048.0, over_s=300.0)


def progress(state: RunState, phase: Phase, trouble: str | None = None, **more: Any) -> RunProgress:
    status = RunStatus(run="r", policy="p", state=state, phase=phase, started=NOW - timedelta(hours=1), **more)
    return combine(status, (), (), datetime.now(UTC), trouble)


def test_a_run_that_cannot_reach_the_hub_says_why() -> None:
    one = progress(RunState.RUNNING, Phase.PREFLIGHT, "Unreachable: GET /sites/: no connection")
    assert headline(one) == "asking the Hub: GET /sites/: no connection"
    assert waits_for(one) == "GET /sites/: no connection"


def test_a_paused_run_names_who_paused_it_and_promises_no_end() -> None:
    known: dict[str, Any] = {"plan": PLAN, "counts": OutcomeCounts(done=10, bytes_done=100), "work_started": NOW}
    one = progress(RunState.PAUSED, Phase.WORK, waits_for="somebody to resume it: root@vm paused it", **known)
    assert doing(one) == "paused"
    assert headline(one) == "paused, waits for somebody to resume it: root@vm paused it"
    assert not moves(one)
    paused = Standing(progress=one, at=NOW, lately=PACE, eta=EtaRange(note="unknown while it is paused, then 1 h"))
    assert "/s" not in detail(paused) and "ends" not in detail(paused)
    assert "Speed" not in facts(paused)
    assert facts(paused)["Ends"] == "unknown while it is paused, then 1 h"


def test_the_end_is_a_range_and_the_figures_add_up() -> None:
    counts = OutcomeCounts(done=10, skipped={"changed": 2}, failed={"timeout": 3}, bytes_done=100)
    one = progress(RunState.RUNNING, Phase.WORK, plan=PLAN, counts=counts, work_started=NOW)
    eta = EtaRange(start=NOW + timedelta(minutes=61), end=NOW + timedelta(minutes=90))
    overall = Pace(files_per_second=120.4, bytes_per_second=1.0, over_s=3600.0)
    standing = Standing(progress=one, at=NOW, lately=PACE, overall=overall, eta=eta)
    assert ends(standing).endswith("in 1 h 1 min to 1 h 30 min")
    lines = facts(standing)
    assert lines["Files"] == "10 done, 2 skipped, 3 failed so far, 85 left of 100"
    assert lines["Bytes"] == "100 B of 1000 B done"
    assert lines["Speed"] == "30.0 files/min, 2.0 KiB/s in the last 5 min; 120 files/s, 1 B/s overall"


def test_before_anything_is_known_no_end_is_promised() -> None:
    one = progress(RunState.RUNNING, Phase.WORK, plan=PLAN, work_started=NOW)
    standing = Standing(progress=one, at=NOW)
    assert ends(standing) == ""
    assert "Ends" not in facts(standing)


def test_the_account_is_closed_without_waiting_for_itself() -> None:
    one = progress(RunState.RUNNING, Phase.REPORT, waits_for="the account of every file")
    assert headline(one) == "closing the account"


def test_the_share_of_a_campaign_is_of_the_whole_run_and_never_goes_back() -> None:
    ahead, waiting, working, ended = StageState.AHEAD, StageState.WAITING, StageState.WORKING, StageState.ENDED

    def share(done: int, *states: StageState, failed: int = 0) -> float:
        names = ("premigrate", "wait 7d", "migrate")
        stages = tuple(
            StageRecord(number=number, what=what, state=state)
            for number, (what, state) in enumerate(zip(names, states, strict=True), 1)
        )
        counts = OutcomeCounts(done=done, failed={"timeout": failed} if failed else {})
        return progress(RunState.RUNNING, Phase.WORK, plan=PLAN, counts=counts, stages=stages).share

    shares = [
        share(0, working, ahead, ahead),
        share(50, working, ahead, ahead),
        share(90, working, ahead, ahead, failed=10),
        share(98, working, ahead, ahead, failed=2),
        share(98, ended, waiting, ahead, failed=2),
        share(98, ended, ended, waiting, failed=2),
        share(0, ended, ended, working, failed=2),
        share(49, ended, ended, working, failed=2),
        share(98, ended, ended, ended, failed=2),
    ]
    assert shares == sorted(shares)
    assert (shares[1], shares[4], shares[-1]) == (0.25, 0.5, 1.0)


def test_a_concurrency_that_adapts_tells_its_bounds_and_why_it_is_where_it_is() -> None:
    step = SlotsStep(at=NOW, before=8, slots=16, why="throughput grew by 97% with 8 jobs")
    known: dict[str, Any] = {"plan": PLAN, "concurrency": 16, "bounds": Between(least=2, most=32), "adapted": step}
    lines = facts(Standing(progress=progress(RunState.RUNNING, Phase.WORK, **known), at=NOW))
    assert lines["Adapts"].startswith("16 jobs at a time, between 2 and 32 (since ")
    assert lines["Adapts"].endswith(": throughput grew by 97% with 8 jobs)")
