"""Lint: what is valid and probably a mistake is said with its place, and nothing else is.

`python tests/unit/test_lint.py` prints what `tests/golden/lint/expected.txt` holds.
"""

from datetime import date
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.catalog import load_policy
from orchestrator.check import check
from orchestrator.documents import Problem
from orchestrator.linting.selection import selection_findings
from tests.unit.random_policies import NOW, facts, made_up, selects
from tests.unit.test_lint_possible import RANDOM
from workflows.matching import Verdict, decide
from workflows.selecting import Select

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden" / "lint"
CATALOG = GOLDEN / "catalog"
FILES = sorted(GOLDEN.glob("*.yaml"))
TODAY = date(2026, 11, 24)


def lines_of(path: Path) -> list[str]:
    report = check([path], today=TODAY)
    found = [remark for file in report.files for remark in file.all_remarks]
    return [_line(remark.problem, f"{remark.severity} {remark.code}: ") for remark in found]


def _line(problem: Problem, kind: str) -> str:
    return problem.said(kind).removeprefix(f"{CATALOG.parent}/")


def expected() -> dict[str, list[str]]:
    by_file: dict[str, list[str]] = {}
    for line in (GOLDEN / "expected.txt").read_text(encoding="utf-8").splitlines():
        by_file.setdefault(line.split(":", 1)[0], []).append(line)
    return by_file


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_probable_mistake_gives_exactly_its_golden_lines(file: Path) -> None:
    assert lines_of(file) == expected()[file.name]


def test_the_policies_of_a_catalog_are_held_against_each_other() -> None:
    assert lines_of(CATALOG) == [line for lines in expected().values() for line in lines if line.startswith("catalog/")]


def test_one_file_alone_says_nothing_of_policies_that_may_be_elsewhere() -> None:
    assert lines_of(CATALOG / "lost.yaml") == []


def test_a_catalog_with_a_file_that_cannot_be_read_may_hold_any_name(tmp_path: Path) -> None:
    (tmp_path / "lost.yaml").write_bytes((CATALOG / "lost.yaml").read_bytes())
    (tmp_path / "broken.yaml").write_text("name: [tow")
    assert check([tmp_path], today=TODAY).warnings == ()


@pytest.mark.parametrize("file", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_policy_has_no_warning(file: Path) -> None:
    assert lines_of(file) == []


QUIET = {
    "a catch-all at the end": 'rules: [{name: a, match: {type: mov}}, {name: b, match: {path: "**"}}]',
    "overlapping rules": 'rules: [{name: a, match: {size: "> 1GiB"}}, {name: b, match: {size: "> 1KiB"}}]',
    "a keep of small files": 'rules: [{name: a, match: {size: "< 1KiB"}, keep: true}, {name: b, match: {type: mov}}]',
    "the unknown beside its keep": 'rules: [{name: a, match: {size: ">= 0"}}, {name: b, match: {type: mov}}]',
    "a hidden folder at any depth": 'paths: [/a]\n  exclude: [{path: "**/.snapshots/**"}, {name: ".*"}]',
    "a file by its whole path": "paths: [/a]\n  exclude: [{path: /a/list.txt}]",
    "a class for nobody": 'classes: {odd: {not: {type: mov}}}',
    "young files": 'exclude: [{changed: "< 10m"}]',
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
def test_what_is_usual_is_not_warned_of(name: str, tmp_path: Path) -> None:
    file = tmp_path / "quiet.yaml"
    file.write_text(
        f"version: 1\nname: a\nsite: s\nselect:\n  from: {{space: p}}\n  {QUIET[name]}\nrun: {{workflow: migrate}}\n"
    )
    assert lines_of(file) == []


@pytest.mark.parametrize(
    "schedule",
    [
        '{cron: "30 1 * * *"}',
        '{cron: "30 2 * * *", timezone: Europe/London}',
        '{cron: "*/30 1 * * *", timezone: Europe/London}',
        '{cron: "30 1 * * 1-5", timezone: Europe/London}',
        '{cron: "30 1 * * *", timezone: Europe/London, dst: {gap: skip}}',
        '{cron: "30 1 * * *", timezone: Asia/Tokyo}',
        '{cron: "30 1 * * *", timezone: Europe/London, start: 2026-12-01, end: 2027-03-28}',
        '{cron: "30 1 * * *", timezone: Europe/London, skip_dates: [2027-03-28, 2028-03-26, 2029-03-25]}',
        '{cron: "0 1 29 2 *"}',
    ],
)
def test_a_schedule_whose_times_all_exist_is_not_warned_of(schedule: str, tmp_path: Path) -> None:
    file = tmp_path / "quiet.yaml"
    file.write_text(
        f"version: 1\nname: a\nsite: s\ntriggers: [{{schedule: {schedule}}}]\nselect:\n  from: {{space: p}}\n"
        "run: {workflow: migrate}\n"
    )
    assert lines_of(file) == []


def test_a_warning_fails_the_check_only_where_it_is_strict() -> None:
    file = GOLDEN / "rule-shadowed.yaml"
    assert (check([file]).exit_code, check([file], strict=True).exit_code) == (0, 2)


def test_what_can_never_be_right_fails_every_check() -> None:
    report = check([GOLDEN / "exclude-of-every-file.yaml"], today=TODAY)
    assert report.exit_code == 2 and len(report.problems) == 1


def test_a_policy_with_warnings_is_still_a_policy() -> None:
    assert load_policy(GOLDEN / "rule-shadowed.yaml").name == "rule-shadowed"


@settings(RANDOM, max_examples=250)
@given(select=selects(), seed=st.integers(0, 2**32))
def test_no_file_is_ever_decided_by_a_rule_that_lint_calls_unreachable(select: Select, seed: int) -> None:
    found = list(selection_findings(select, {}))
    never = {select.rules[int(finding.where[2])].name for finding in found if finding.code == "rule-never-decides"}
    nothing = any(finding.code in ("nothing-taken", "excludes-everything") for finding in found)
    chance = Random(seed)
    for _ in range(200 if never or nothing else 0):
        record = made_up(chance)
        decision = decide(select, facts(record), NOW)
        if not record.path.endswith("/"):
            assert decision.rule not in never, (record, found)
            assert not (nothing and decision.verdict is Verdict.SELECTED), (record, found)


if __name__ == "__main__":
    print("\n".join(line for path in (*FILES, CATALOG) for line in lines_of(path)))
