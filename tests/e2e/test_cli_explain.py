"""`explain` against a real Hub: each condition with the file's own value, the line that decides, the day it changes."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine

EVERY_CONDITION = """\
version: 1
name: every
site: london
select:
  from: {space: projects}
  classes:
    cold: {all: [{accessed: "> 90d"}, {modified: "> 30d"}]}
  exclude:
    - {path: "**/.snapshots/**"}
    - {changed: "< 0s"}
  rules:
    - {name: huge, match: {size: "> 1TiB"}, keep: true}
    - {name: cold, match: cold}
    - name: rest
      match:
        all:
          - {size: ">= 5B"}
          - {disk_usage: ">= 0"}
          - {type: [mov, mxf]}
          - {name: "*.mov"}
          - {status: resident}
          - {not: {status: migrated}}
          - any: [{owner: nobody-else}, {group: nobody-else}, {metadata.project: film}]
run: {workflow: migrate}
"""
DAY = 86_400


def made(machine: Machine, name: str, accessed_days: float, modified_days: float) -> Path:
    file = machine.projects / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"12345")
    now = time.time()
    os.utime(file, (now - accessed_days * DAY, now - modified_days * DAY))
    return file


@pytest.fixture
def policy(machine: Machine) -> Path:
    file = machine.policies / "every.yaml"
    file.write_text(EVERY_CONDITION)
    return file


def leaves(reason: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for part in reason["of"] for leaf in leaves(part)] if reason["of"] else [reason]


def test_a_file_learns_its_values_its_line_and_its_day(machine: Machine, policy: Path) -> None:
    file = made(machine, "a.mov", accessed_days=80, modified_days=40)
    found = machine.json("explain", "every", "/mmfs1/projects/a.mov")
    line = EVERY_CONDITION.splitlines().index("    - name: rest") + 1
    assert found["decided_by"] == {"file": str(policy), "line": line, "text": "- name: rest"}
    said = {
        leaf["condition"]: (leaf["truth"], leaf["value"]) for rule in found["rules"] for leaf in leaves(rule["reason"])
    }
    assert said["size >= 5B"] == (True, "5B")
    assert said["size > 1TiB"] == (False, "5B")
    assert said["type is mov, mxf"] == (True, "mov")
    assert said["name matches *.mov"] == (True, "a.mov")
    assert said["status is resident"] == (True, "resident") and said["status is migrated"] == (False, "resident")
    assert re.fullmatch(r"80d ago \(.*\)", said["accessed > 90d"][1]) and said["accessed > 90d"][0] is False
    assert said["modified > 30d"][0] is True
    reached = file.stat().st_atime + 90 * DAY
    assert found["rules"][1]["turns"]["truth"] is True
    assert found["changes"]["rule"] == "cold" and found["changes"]["at"] == found["rules"][1]["turns"]["at"]
    assert abs(time.mktime(time.strptime(found["changes"]["at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - reached) < 2


def test_what_it_says_of_a_later_day_is_what_it_says_on_that_day(machine: Machine, policy: Path) -> None:
    made(machine, "a.mov", accessed_days=80, modified_days=40)
    change = machine.json("explain", "every", "/mmfs1/projects/a.mov")["changes"]
    then = machine.json("explain", "every", "/mmfs1/projects/a.mov", "--as-of", change["at"])
    assert (then["verdict"], then["rule"], then["changes"]) == (change["verdict"], change["rule"], None)


def test_a_person_reads_the_line_that_decides_and_the_day(machine: Machine, policy: Path) -> None:
    made(machine, "a.txt", accessed_days=80, modified_days=40)
    said = machine.run("explain", "every", "/mmfs1/projects/a.txt").stdout
    assert "stays: no rule matches it" in said and "every.yaml:11: rules:" in said
    day = r"from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC on, if the file stays as it is: is selected by rule cold"
    assert re.search(day, said)
    assert re.search(r"rule cold: cold  \(line 13\)  matches from \d{4}", said)
    assert "type is mov, mxf  [it is txt]" in said


def test_an_excluded_file_is_answered_with_the_exclude(machine: Machine, policy: Path) -> None:
    made(machine, ".snapshots/a.mov", accessed_days=100, modified_days=100)
    found = machine.json("explain", "every", "/mmfs1/projects/.snapshots/a.mov")
    assert (found["verdict"], found["decided_by"]["line"]) == ("excluded", 9)
    assert found["exclude"][0]["decides"] is True and found["changes"] is None


def test_what_is_not_known_is_named(machine: Machine, policy: Path) -> None:
    policy.write_text(EVERY_CONDITION.replace("{owner: nobody-else}, {group: nobody-else}, ", ""))
    made(machine, "a.mov", accessed_days=1, modified_days=1)
    found = machine.json("explain", "every", "/mmfs1/projects/a.mov")
    assert (found["verdict"], found["decided_by"]["text"]) == ("unknown", "- name: rest")
    said = machine.run("explain", "every", "/mmfs1/projects/a.mov").stdout
    assert "metadata.project is film  [it is not known]" in said


def test_a_file_outside_of_the_paths_is_told_so(machine: Machine, policy: Path) -> None:
    policy.write_text(EVERY_CONDITION.replace("  classes:", "  paths: [/mmfs1/projects/film]\n  classes:"))
    made(machine, "a.mov", accessed_days=1, modified_days=1)
    said = machine.run("explain", "every", "/mmfs1/projects/a.mov").stdout
    assert "lies outside of the policy's paths (/mmfs1/projects/film), so no run ever sees it" in said


def test_a_policy_of_several_sites_asks_for_one(machine: Machine, policy: Path) -> None:
    policy.write_text(EVERY_CONDITION.replace("site: london", "sites: [london, paris]"))
    made(machine, "a.mov", accessed_days=1, modified_days=1)
    ended = machine.run("explain", "every", "/mmfs1/projects/a.mov")
    assert ended.returncode == 2 and "--site london" in ended.stderr
    assert machine.json("explain", "every", "/mmfs1/projects/a.mov", "--site", "london")["policy"] == "every"


def test_a_name_that_would_steer_a_terminal_is_escaped_wherever_it_is_shown(machine: Machine, policy: Path) -> None:
    name = "esc\x1b[31m line\nend byte\udcff rtl\u202egpj.txt"
    said = "esc\\x1b[31m line\\nend byte\\xff rtl\\u202egpj.txt"
    made(machine, name, accessed_days=1, modified_days=1)
    ended = machine.run("explain", "every", f"/mmfs1/projects/{name}")
    assert ended.stdout.splitlines()[0] == f"/mmfs1/projects/{said}"
    assert f"name matches *.mov  [it is {said}]" in ended.stdout
    unknown = machine.run("explain", "every", f"/mmfs1/projects/no-{name}")
    assert f"The Hub knows no file /mmfs1/projects/no-{said}." in unknown.stderr
    shown = machine.run("hub", "GET", "/file/", "-p", "path=/mmfs1/projects", "-p", "site=london", "-p", "details=true")
    for text in (ended.stdout, unknown.stderr, shown.stdout):
        assert all(char.isprintable() or char == "\n" for char in text)
