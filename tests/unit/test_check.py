"""The check of policies: their own tests, their names, the report."""

import json
import os
from pathlib import Path

import pytest

from orchestrator.catalog import PolicyError, find_policy, load_catalog, load_policy
from orchestrator.check import check
from orchestrator.standings import read_folder

POLICIES = Path(__file__).resolve().parent.parent.parent / "policies"

POLICY = """\
version: 1
name: {name}
site: london
select:
  from: {{space: projects}}
  paths: [/mmfs1/projects]
  classes:
    media: {{type: [mov, mxf]}}
    cold: {{accessed: "> 90d"}}
  exclude: [{{path: "**/.snapshots/**"}}]
  rules:
    - {{name: media, match: {{all: [media, cold]}}}}
run: {{workflow: migrate}}
tests:
  - {{file: {{path: /mmfs1/projects/a/x.mov, accessed: 120d ago}}, expect: {{rule: media}}}}
  - {{file: {{path: /mmfs1/projects/.snapshots/x.mov}}, expect: excluded}}
  - {{file: {{path: /mmfs1/projects/x.mov}}, expect: unknown}}
"""


def write(folder: Path, name: str, text: str | None = None) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text or POLICY.format(name=name))
    return file


def test_the_policies_of_the_project_hold_their_own_tests() -> None:
    report = check([POLICIES])
    assert [str(problem) for problem in report.problems] == []
    assert report.exit_code == 0
    assert report.tests_run >= 15
    assert len(report.files) >= 4


def test_a_failing_test_says_what_was_found_and_why(tmp_path: Path) -> None:
    file = write(tmp_path, "a", POLICY.format(name="a").replace("120d ago", "12d ago"))
    report = check([file])
    (problem,) = report.problems
    assert (problem.line, report.tests_run, report.tests_failed, report.exit_code) == (15, 3, 1, 2)
    assert "expected rule media, found stays" in problem.message
    assert "accessed > 90d, which is 12d ago" in problem.message


def test_two_policies_of_one_name_are_a_problem_of_the_second(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", POLICY.format(name="a"))
    (problem,) = check([tmp_path]).problems
    assert problem.file.endswith("b.yaml") and (problem.line, problem.column) == (2, 7)
    with pytest.raises(PolicyError, match="has the name `a` already"):
        load_catalog(tmp_path)


def test_a_file_checked_twice_is_no_clash_with_itself(tmp_path: Path) -> None:
    file = write(tmp_path, "a")
    assert check([file, file]).ok


def test_what_is_not_there_is_one_problem(tmp_path: Path) -> None:
    (problem,) = check([tmp_path / "none.yaml"]).problems
    assert "there is no such file or folder" in problem.message


def test_a_folder_without_policies_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check([tmp_path]).problems
    assert "there is no policy in this folder" in problem.message


def test_a_policy_is_found_by_its_name_whatever_its_neighbours_are(tmp_path: Path) -> None:
    write(tmp_path, "archive")
    write(tmp_path, "broken", "name: [a")
    assert find_policy(tmp_path, "archive").name == "archive"
    with pytest.raises(PolicyError, match="did you mean `archive`"):
        find_policy(tmp_path, "archiv")
    with pytest.raises(PolicyError, match="is not closed"):
        find_policy(tmp_path, "broken")


def test_a_name_that_two_files_give_names_no_policy(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", POLICY.format(name="a"))
    with pytest.raises(PolicyError, match=r"b\.yaml:2:7: name: .*a\.yaml has the name `a` already"):
        find_policy(tmp_path, "a")


def test_what_is_called_a_policy_and_cannot_be_read_is_a_problem_and_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "away.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yml")
    with pytest.raises(PolicyError) as raised:
        load_catalog(tmp_path)
    said = [(Path(one.file).name, one.message) for one in raised.value.problems]
    assert said == [
        ("away.yaml", f"the link leads to {tmp_path / 'nowhere'}, which is not there"),
        ("folder.yaml", "this is a folder, not a policy's file: give it another name"),
        ("pipe.yml", "this is a pipe, not a file"),
    ]
    assert set(read_folder(tmp_path).wrong) == {"away", "folder", "pipe"}


def test_a_policy_is_read_from_bytes_under_a_given_name() -> None:
    assert load_policy(POLICY.format(name="a").encode(), "request").name == "a"
    with pytest.raises(PolicyError, match=r"^request:1:1: the file is empty"):
        load_policy(b"", "request")


def test_the_report_is_plain_data(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", "version: 2\n")
    report = json.loads(json.dumps(check([tmp_path]).to_json()))
    assert report["ok"] is False
    assert report["tests"] == {"run": 3, "failed": 0}
    assert report["files"][0]["policy"] == "a" and report["files"][0]["problems"] == []
    assert report["files"][1]["policy"] is None and report["files"][1]["problems"][0]["line"] == 1
