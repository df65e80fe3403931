"""The check's report for other programs: JSON, GitHub's annotations, JUnit's XML."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.cli.main import invoke

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
WARNED = GOLDEN / "lint" / "rule-shadowed.yaml"
WRONG = GOLDEN / "documents" / "misspelt-key.yaml"
GOOD = GOLDEN.parent.parent / "policies" / "archive-cold-media.yaml"


def failing(folder: Path) -> Path:
    file = folder / "100%, a:b.yaml"
    file.write_text(
        "version: 1\nname: a\nsite: s\nselect:\n  from: {space: p}\nrun: {workflow: migrate}\n"
        "tests:\n  - {file: {path: /a.mov}, expect: excluded}\n"
    )
    return file


def test_json_holds_problems_and_warnings_with_their_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--json", str(WARNED), str(WRONG)]) == 2
    warned, wrong = json.loads(capsys.readouterr().out)["files"]
    assert [(one["code"], one["line"]) for one in warned["warnings"]] == [("rule-never-decides", 8)]
    assert warned["problems"] == [] and wrong["warnings"] == []
    assert {one["code"] for one in wrong["problems"]} == {"invalid"}


def test_format_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--format", "json", str(GOOD)]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_warning_is_shown_and_fails_only_a_strict_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", str(WARNED)]) == 0
    assert re.search(r"rule-shadowed\.yaml:8:7: warning: select\.rules\[1\]: ", capsys.readouterr().out)
    assert invoke(["check", "--strict", str(WARNED)]) == 2


def test_github_gets_one_command_for_each_remark(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--format", "github", str(WARNED), str(WRONG), str(GOOD)]) == 2
    lines = capsys.readouterr().out.splitlines()
    commands = [
        re.fullmatch(r"::(error|warning) file=([^,:]+),line=\d+,col=\d+,title=[a-z-]+::.+", one) for one in lines
    ]
    assert [one[1] for one in commands if one] == ["warning", "error"]
    assert lines[-1] == ("3 files, 9 tests, 1 problem, 1 warning")


def test_github_finds_files_from_the_root_of_the_checkout(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(GOLDEN)
    invoke(["check", "--format", "github", str(WARNED)])
    assert "file=lint/rule-shadowed.yaml," in capsys.readouterr().out


def test_what_github_reads_as_its_own_signs_is_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    invoke(["check", "--format", "github", str(failing(tmp_path))])
    assert "/100%25%2C a%3Ab.yaml,line=8," in capsys.readouterr().out


def test_junit_is_xml_with_a_suite_for_each_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert invoke(["check", "--format", "junit", str(WARNED), str(WRONG), str(GOOD), str(failing(tmp_path))]) == 2
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "17", "2")
    assert [suite.get("failures") for suite in root] == ["0", "1", "0", "1"]
    assert [case.get("name") for case in root[3]] == ["is valid", "has no warnings", "tests[0] expects excluded"]
    failure = root[3][2].find("failure")
    assert failure is not None and "expected excluded, found selected" in str(failure.get("message"))
    assert "warning: select.rules[1]" in str(root[0][1].findtext("system-out"))


def test_a_strict_junit_fails_by_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--strict", "--format", "junit", str(WARNED)]) == 2
    assert ElementTree.fromstring(capsys.readouterr().out).get("failures") == "1"


@pytest.mark.parametrize("file", sorted((GOLDEN / "documents").glob("*.yaml")), ids=lambda file: file.stem)
def test_junit_of_a_hostile_document_is_xml(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--format", "junit", str(file)]) == 2
    (suite,) = ElementTree.fromstring(capsys.readouterr().out)
    assert suite.get("failures") == "1"


def test_an_unknown_format_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "--format", "junti", str(GOOD)]) == 2
    assert "did you mean `junit`" in capsys.readouterr().err
