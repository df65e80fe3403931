"""The report of a plan counts what a person would count file by file, and two plans differ by what sets say."""

import os
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from activities.bulk import Bulk
from activities.columns import to_table
from activities.hub.namespace import FileRecord
from activities.inventory import write_inventory
from activities.plan_diff import PlanDiff, diff_plans
from activities.plan_report import TOP, PlanReport, report_plan
from activities.predicates import rule_names
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from tests.unit.selection_fixtures import NOW, made_policy
from tests.unit.test_selection_matches import facts, made_up, selects
from workflows.conditions import Compare
from workflows.matching import FileFacts, Verdict, decide
from workflows.plan import Plan
from workflows.policy import Limit, Policy
from workflows.selecting import OrderKey, Rule, Select

EXAMPLES = int(os.environ.get("REPORT_EXAMPLES", "60"))
WORDS = {Verdict.KEPT: "kept", Verdict.STAYS: "no_rule", Verdict.EXCLUDED: "excluded"}
WORDS[Verdict.UNKNOWN] = "unknown_attribute"
KEYS = st.sampled_from(["size", "disk_usage", "accessed", "modified", "changed", "path"])
ORDERS = st.lists(st.builds(OrderKey, attribute=KEYS, descending=st.booleans()), max_size=3).map(tuple)
LIMITS = st.builds(
    Limit, files=st.none() | st.integers(1, 60), bytes=st.none() | st.sampled_from(["1B", "1KiB", "1TiB", "4TiB"])
)

SIZES_BY_NUMBER = st.dictionaries(st.integers(0, 40), st.integers(0, 3))


class Planner:
    """Plans and reports over files, in a storage of its own."""

    def __init__(self, folder: Path) -> None:
        self.storage: Storage = open_storage(folder / "storage")
        self.bulk = Bulk(256 << 20, folder / "spill")

    def plan(self, policy: Policy, records: list[FileRecord], name: str = "i", **caps: int) -> Plan:
        inventory = write_inventory(self.storage, name, to_table(records), NOW)
        request = PlanRequest(policy=policy, inventory=inventory, as_of_us=NOW, **caps)
        return make_plan(self.storage, self.bulk, request)

    def report(self, policy: Policy, plan: Plan) -> PlanReport:
        return report_plan(self.storage, self.bulk, policy, plan)

    def diff(self, new: Plan, old: Plan) -> PlanDiff:
        return diff_plans(self.storage, self.bulk, new.manifest, old.manifest)


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    return Planner(tmp_path)


class OddPolicy(Policy):
    """A policy with ages that the language cannot write, such as a microsecond."""

    def canonical(self) -> str:
        return ascii(self.select)


def selecting(select: Select) -> Policy:
    return OddPolicy.model_construct(**{**dict(made_policy(batch_files=7)), "select": select})


def by_hand(select: Select, files: list[FileFacts]) -> tuple[dict[str, str], dict[str, str]]:
    """Say for each path why it stays, or by which rule it is planned."""
    stays: dict[str, str] = {}
    chosen: dict[str, str] = {}
    selected = []
    for file in files:
        verdict, rule = decide(select, file, NOW)
        if verdict == Verdict.SELECTED:
            selected.append((file, rule or ""))
        else:
            stays[file.path] = WORDS[verdict]
    selected.sort(key=lambda one: one[0].path)
    for key in reversed(select.order_by):
        known = [one for one in selected if getattr(one[0], key.attribute) is not None]
        known.sort(key=lambda one: getattr(one[0], key.attribute), reverse=key.descending)
        selected = known + [one for one in selected if getattr(one[0], key.attribute) is None]
    most_files, most_bytes = select.limit.files, select.limit.bytes
    size, full = 0, False
    for file, rule in selected:
        size += file.size or 0
        full = full or len(chosen) == most_files or (most_bytes is not None and size > most_bytes)
        (stays if full else chosen)[file.path] = "limit_reached" if full else rule
    return stays, chosen


@pytest.mark.long
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(select=selects(), order=ORDERS, limit=LIMITS, seed=st.integers(0, 2**32))
def test_the_report_counts_as_one_would_by_hand(
    select: Select, order: tuple[OrderKey, ...], limit: Limit, seed: int
) -> None:
    select = select.model_copy(update={"order_by": order, "limit": limit})
    policy = selecting(select)
    chance = Random(seed)
    records = [
        msgspec.structs.replace(one, size=one.size and min(one.size, 2**40))
        for one in (made_up(chance) for _ in range(150))
    ]
    records = list({facts(one).path: one for one in records}.values())
    files = {file.path: file for file in map(facts, records)}
    stays, chosen = by_hand(select, list(files.values()))
    with TemporaryDirectory() as folder:
        planner = Planner(Path(folder))
        plan = planner.plan(policy, records)
        report = planner.report(policy, plan)

    assert plan.files == len(chosen)
    assert {word: amount.files for word, amount in report.passed_over.items()} == Counter(stays.values())
    assert {word: amount.files for word, amount in report.passed_over.items()} == plan.passed_over
    for word, amount in report.passed_over.items():
        assert amount.bytes == sum(files[path].size or 0 for path, why in stays.items() if why == word)
    decided = Counter(decide(select, file, NOW).rule for file in files.values())
    for rule in report.rules:
        mine = [files[path] for path, name in chosen.items() if name == rule.name]
        assert (rule.files, rule.bytes) == (len(mine), sum(file.size or 0 for file in mine))
        assert rule.matched.files == decided[rule.name]
        owners = Counter(file.owner for file in mine)
        assert {one.owner: one.files for one in rule.owners} == owners, "fewer than ten owners are all named"
        assert rule.all_owners == len(owners)
    assert {rule.name for rule in report.rules} == set(rule_names(select))
    planned = [files[path] for path in chosen]
    assert {one.owner: one.files for one in report.owners} == Counter(file.owner for file in planned)
    sizes = sorted((-file.size, file.path) for file in planned if file.size is not None)
    assert [(-(one.size or 0), one.path) for one in report.largest] == sizes[:TOP]
    ages = sorted((when, file.path) for file in planned if (when := _when(report.age_by, file)) is not None)
    assert [(one.age_us, one.path) for one in report.oldest] == ages[:TOP]
    assert report.freed == sum(file.disk_usage or 0 for file in planned)
    assert report.freed_unknown == sum(file.disk_usage is None for file in planned)


def _when(attribute: str, file: FileFacts) -> int | None:
    when: int | None = getattr(file, attribute)
    return file.modified if when is None and attribute == "accessed" else when


def test_a_rule_without_a_file_is_named(planner: Planner) -> None:
    rules = (
        Rule(name="big", match=Compare("size", ">", 100)),
        Rule(name="small", match=Compare("size", "<=", 100)),
    )
    policy = made_policy()
    policy = policy.model_copy(update={"select": policy.select.model_copy(update={"rules": rules})})
    report = planner.report(policy, planner.plan(policy, [FileRecord("/a/x", "file", 5)]))
    assert report.idle_rules == ("big",)


def test_a_rule_beyond_the_limit_says_what_it_matched(planner: Planner) -> None:
    policy = made_policy()
    limited = policy.select.model_copy(update={"limit": Limit(files=2)})
    policy = policy.model_copy(update={"select": limited})
    plan = planner.plan(policy, [FileRecord(f"/a/{name}", "file", 10) for name in "abcde"])
    [rule] = planner.report(policy, plan).rules
    assert (rule.files, rule.matched.files) == (2, 5)


def test_what_a_guard_cut_off_is_not_in_the_report(planner: Planner) -> None:
    policy = made_policy()
    records = [FileRecord(f"/a/{name}", "file", 10, owner=name) for name in "abcde"]
    report = planner.report(policy, planner.plan(policy, records, cap_files=0))
    assert (report.owners, report.largest, report.rules[0].files) == ((), (), 0)
    report = planner.report(policy, planner.plan(policy, records, cap_bytes=25))
    assert [one.owner for one in report.owners] == ["a", "b"]


def test_only_the_ten_greatest_owners_are_named_and_the_others_counted(planner: Planner) -> None:
    policy = made_policy()
    records = [FileRecord(f"/a/{number:02}", "file", number, owner=f"user{number:02}") for number in range(25)]
    report = planner.report(policy, planner.plan(policy, records))
    assert [one.owner for one in report.owners] == [f"user{number:02}" for number in range(24, 14, -1)]
    assert (report.all_owners, report.rules[0].all_owners) == (25, 25)
    assert report.rules[0].owners == report.owners


def test_an_unknown_attribute_is_counted_everywhere_and_where_it_decides(planner: Planner) -> None:
    rules = (
        Rule(name="cold", match=Compare("accessed", ">", 1_000_000)),
        Rule(name="big", match=Compare("size", ">", 100)),
    )
    policy = made_policy()
    excluding = policy.select.model_copy(update={"rules": rules, "exclude": (Compare("size", "<", 3),)})
    policy = policy.model_copy(update={"select": excluding})
    records = [
        FileRecord("/a/known", "file", 5, atime=0, mtime=0),
        FileRecord("/a/excluded", "file", 1),
        FileRecord("/a/unknown", "file", 5),
    ]
    report = planner.report(policy, planner.plan(policy, records))
    assert {name: (one.files, one.undecided) for name, one in report.unknown.items()} == {"accessed": (2, 1)}


def test_an_empty_inventory_has_an_empty_report(planner: Planner) -> None:
    policy = made_policy()
    report = planner.report(policy, planner.plan(policy, []))
    assert (report.rules[0].files, report.owners, report.passed_over, report.freed) == (0, (), {}, 0)


@given(
    new=st.dictionaries(st.integers(0, 40), st.integers(0, 3)),
    old=st.dictionaries(st.integers(0, 40), st.integers(0, 3)),
)
@settings(max_examples=25, deadline=None)
def test_two_plans_differ_as_their_sets_of_files_do(new: dict[int, int], old: dict[int, int]) -> None:
    def records(files: dict[int, int]) -> list[FileRecord]:
        return [FileRecord(f"/a/{number}\udcff", "file", size) for number, size in files.items()]

    with TemporaryDirectory() as folder:
        planner = Planner(Path(folder))
        policy = made_policy(5)
        diff = planner.diff(planner.plan(policy, records(new), "new"), planner.plan(policy, records(old), "old"))
    both, added, removed = new.keys() & old.keys(), new.keys() - old.keys(), old.keys() - new.keys()
    assert (diff.added.files, diff.added.bytes) == (len(added), sum(new[one] for one in added))
    assert (diff.removed.files, diff.removed.bytes) == (len(removed), sum(old[one] for one in removed))
    assert (diff.same.files, diff.same.bytes) == (len(both), sum(new[one] for one in both))
    if new != old:  # the very same plan is not compared with itself
        assert diff.resized == sum(new[one] != old[one] for one in both)
        assert len(diff.added.examples) == min(3, len(added))


def test_what_is_where_the_hub_workflow_puts_it_is_counted(tmp_path: Path) -> None:
    statuses = ["resident", "premigrated", "migrated", None]
    records = [FileRecord(f"/a/{number}", "file", 10, status=status) for number, status in enumerate(statuses)]
    for workflow, files in (("migrate", 1), ("premigrate", 2), ("recall", 1), ("send", 0)):
        planner = Planner(tmp_path / workflow)
        policy = made_policy(run={"workflow": workflow})
        report = planner.report(policy, planner.plan(policy, records))
        assert (report.there_already.files, report.there_already.bytes) == (files, 10 * files), workflow


def test_an_exclude_that_holds_for_no_file_is_named(tmp_path: Path) -> None:
    exclude = [{"type": "mov"}, {"path": "**/legal/**"}, {"size": "> 5B"}]
    policy = made_policy(select={"from": {"path": "/a"}, "exclude": exclude})
    planner = Planner(tmp_path)
    records = [FileRecord("/a/x.mov", "file", 10), FileRecord("/a/y", "file", None)]
    report = planner.report(policy, planner.plan(policy, records))
    assert (report.excluded, report.idle_excludes) == ((1, 0, 1), (1,))
