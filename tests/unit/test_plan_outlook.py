"""What stands around a plan: how long it takes by past runs, what a run would meet, and which plan was the last."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from activities.storage import open_storage
from orchestrator.other_plans import NoOtherPlan, OtherPlan, OtherPolicy, find_other, keep_as_last
from orchestrator.past_rates import Rate, estimate, past_rates
from orchestrator.pool_levels import PoolLevel, frees_space
from orchestrator.settings import Settings, load_settings
from orchestrator.standing import standing
from tests.unit.selection_fixtures import made_plan, made_policy
from workflows.plan import Plan, UsualPlan

NOW = datetime(2026, 11, 23, 22, tzinfo=UTC)
NOW_US = round(NOW.timestamp() * 1_000_000)


def plan_of(files: int, size: int = 0, **more: Any) -> Plan:
    return Plan(digest="d", manifest="m", policy_digest="p", as_of_us=0, files=files, bytes=size, batches=1, **more)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path)


@pytest.fixture
def log(settings: Settings) -> AuditLog:
    return AuditLog(settings.audit.get_secret_value())


def write(log: AuditLog, run: str, event: str, **body: Any) -> None:
    log.append(AuditRecord(event=event, actor="engine", run=run, key=f"{run}/{event}", body=body))


def test_without_a_past_run_nobody_knows_how_long_a_plan_takes(log: AuditLog) -> None:
    assert past_rates(log, "p") == []
    assert not log.is_there(), "asking makes nothing"
    assert estimate(plan_of(10), []) is None


def test_the_slower_of_files_and_bytes_decides() -> None:
    many_small = estimate(plan_of(1000, 10), [Rate(files=10, bytes=1000)])
    few_large = estimate(plan_of(10, 50_000), [Rate(files=10, bytes=1000)])
    assert many_small is not None
    assert few_large is not None
    assert (many_small.seconds, few_large.seconds) == (100, 50)


def test_an_estimate_is_the_median_of_the_runs_with_its_range() -> None:
    found = estimate(plan_of(100), [Rate(1, 0), Rate(100, 0), Rate(10, 0)])
    assert found is not None
    assert (found.runs, found.shortest, found.seconds, found.longest) == (3, 1, 10, 100)


def test_an_empty_plan_has_no_estimate() -> None:
    assert estimate(plan_of(0), [Rate(1, 1)]) is None


def test_a_rate_is_of_the_work_of_a_run_of_this_policy_that_did_something(log: AuditLog) -> None:
    def ended(policy: str, state: str, done: int) -> dict[str, Any]:
        return {"policy": policy, "state": state, "outcomes": {"done": done, "bytes_done": 10 * done}}

    for run, body in (
        ("mine", ended("p", "succeeded", 100)),
        ("other", ended("q", "succeeded", 7)),
        ("idle", ended("p", "succeeded", 0)),
        ("refused", ended("p", "refused", 7)),
    ):
        write(log, run, "run.started", policy=body["policy"])
        write(log, run, "round.started", number=1)
        time.sleep(0.2)
        write(log, run, "run.ended", **body)
    [rate] = past_rates(log, "p")
    assert 100 < rate.files <= 500
    assert rate.bytes == pytest.approx(10 * rate.files)


def test_a_plan_under_its_guards_goes_on() -> None:
    found = standing(made_policy(), plan_of(5, scope_files=5), None, NOW)
    assert (found.refused_by, found.exceeded, found.asks, found.unready) == (None, None, None, ())


def test_a_plan_over_a_guard_is_refused_or_asks_as_the_policy_says() -> None:
    refused = standing(made_policy(guards={"max_files": 4}), plan_of(5), None, NOW)
    assert refused.refused_by == "the plan holds 5 files, guards.max_files allows 4"
    assert refused.asks is None
    asked = standing(made_policy(guards={"max_files": 4, "on_exceed": "ask"}), plan_of(5), None, NOW)
    assert (asked.refused_by, asked.asks) == (None, "the plan holds 5 files, guards.max_files allows 4")


def test_an_unusual_plan_is_seen_with_the_past_in_view() -> None:
    policy = made_policy(guards={"unusual": {"factor": 2}})
    found = standing(policy, plan_of(50), UsualPlan(runs=5, files=10, bytes=0), NOW)
    assert found.refused_by is not None
    assert "the median of the last 5 runs is 10" in found.refused_by


def test_an_old_inventory_is_refused_also_where_the_policy_asks() -> None:
    policy = made_policy(guards={"inventory_max_age": "1h", "on_exceed": "ask"})
    plan = plan_of(5, inventory_taken_us=NOW_US - 7_200_000_000)
    assert "the inventory is 2:00:00 old" in (standing(policy, plan, None, NOW).refused_by or "")


def test_a_deletion_asks_a_person_unless_the_policy_agrees_by_itself() -> None:
    deletes: dict[str, Any] = {"run": {"workflow": "delete"}}
    asked = standing(made_policy(**deletes), plan_of(5), None, NOW)
    assert (asked.asks, asked.asks_nobody) == ("the hub workflow delete deletes data", False)
    assert asked.expires == timedelta(hours=24)
    small = standing(made_policy(**deletes, approval={"auto": {"max_files": 10}}), plan_of(5), None, NOW)
    assert (small.asks, small.asks_nobody) == ("the hub workflow delete deletes data", True)


@pytest.mark.parametrize(("workflow", "frees"), [("migrate", True), ("delete", True), ("premigrate", False)])
def test_only_what_gives_blocks_back_changes_a_pool(workflow: str, frees: bool) -> None:
    assert frees_space(made_policy(run={"workflow": workflow})) is frees


def test_a_pool_never_falls_below_empty() -> None:
    pool = PoolLevel("sas1", "the site's only pool", used=800, capacity=1000)
    assert (pool.percent, pool.percent_after(300), pool.percent_after(900)) == (80, 50, 0)


def test_the_last_plan_is_the_newest_that_was_looked_at_or_run(settings: Settings, log: AuditLog) -> None:
    storage = open_storage(settings.storage)
    policy = made_policy()
    assert find_other(settings, policy, "last") is None
    seen = made_plan(storage, settings.spill_dir, ["/a/1"])
    keep_as_last(storage, policy, seen, datetime.now(UTC))
    assert _manifest(find_other(settings, policy, "last")) == seen.manifest
    ran = made_plan(storage, settings.spill_dir, ["/a/1", "/a/2"])
    write(log, "p-1", "plan.made", policy="p", **ran.model_dump(mode="json"))
    found = find_other(settings, policy, "last")
    assert _manifest(found) == ran.manifest
    assert found is not None
    assert "p-1" in found.words
    assert _manifest(find_other(settings, policy, "p-1")) == ran.manifest
    keep_as_last(storage, policy, seen, datetime.now(UTC))
    assert _manifest(find_other(settings, policy, "last")) == seen.manifest


def test_the_last_plan_of_another_site_is_not_compared_with(settings: Settings, log: AuditLog) -> None:
    storage = open_storage(settings.storage)
    plan = made_plan(storage, settings.spill_dir, ["/a/1"])
    write(log, "p-1", "plan.made", policy="p", **plan.model_dump(mode="json"))
    keep_as_last(storage, made_policy(), plan, NOW)
    assert find_other(settings, made_policy(site="paris"), "last") is None


def test_another_plan_is_named_by_its_digest_or_its_policy_file(settings: Settings, tmp_path: Path) -> None:
    plan = made_plan(open_storage(settings.storage), settings.spill_dir, ["/a/1"])
    for text in (plan.digest, plan.manifest):
        assert _manifest(find_other(settings, made_policy(), text)) == plan.manifest
    file = tmp_path / "other.yaml"
    text = "version: 1\nname: q\nsites: [paris, london]\nselect: {from: {path: /a}}\nrun: {workflow: migrate}\n"
    file.write_text(text)
    found = find_other(settings, made_policy(), str(file))
    assert isinstance(found, OtherPolicy)
    assert (found.policy.name, found.policy.one_site) == ("q", "london")
    for wrong in ("0" * 64, "v7", "lsat"):
        with pytest.raises(NoOtherPlan, match=wrong):
            find_other(settings, made_policy(), wrong)
    with pytest.raises(NoOtherPlan, match="not for the site rome"):
        find_other(settings, made_policy(site="rome"), str(file))


def _manifest(found: OtherPlan | OtherPolicy | None) -> str:
    assert isinstance(found, OtherPlan)
    return found.manifest
