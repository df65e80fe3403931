"""`plan` against a real Hub: it tells everything, writes lists, compares, and changes nothing anywhere."""

import csv
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.machine import Machine

OLD_AND_BIG = """\
version: 1
name: {name}
site: london
select:
  from: {{space: projects}}
  rules:
    - {{name: big, match: {{size: "> 30KiB"}}}}
    - {{name: media, match: {{type: [mov]}}}}
    - {{name: never, match: {{type: [nothing]}}}}
run: {{workflow: migrate, batch: {{files: 10}}}}
"""


def write(machine: Machine, name: str, more: str = "", text: str = OLD_AND_BIG) -> Path:
    file = machine.policies / f"{name}.yaml"
    file.write_text(text.format(name=name) + more)
    return file


def namespace(machine: Machine) -> dict[str, tuple[int, int, int, int]]:
    found = {}
    for path in sorted(machine.projects.rglob("*")):
        seen = path.stat()
        found[str(path)] = (seen.st_size, seen.st_blocks, seen.st_mtime_ns, seen.st_ctime_ns)
    return found


def test_a_plan_tells_rules_owners_largest_oldest_pool_and_time(machine: Machine) -> None:
    machine.fill(25)
    big = machine.projects / "big.mov"
    big.write_bytes(os.urandom(50_000))
    (machine.projects / "notes.txt").write_text("stays")
    write(machine, "archive")
    plan = machine.json("plan", "archive")
    rules = {rule["name"]: (rule["files"], rule["bytes"]) for rule in plan["rules"]}
    assert rules == {"big": (1, 50_000), "media": (25, 500_000), "never": (0, 0)}
    assert plan["idle_rules"] == ["never"]
    assert sum(owner["files"] for owner in plan["owners"]) == 26
    assert plan["largest"][0]["path"] == "/mmfs1/projects/big.mov"
    assert len(plan["largest"]) == len(plan["oldest"]) == 10
    assert plan["oldest"][0]["path"] != "/mmfs1/projects/big.mov"
    assert (plan["passed_over"], plan["passed_over_bytes"]) == ({"no_rule": 1}, {"no_rule": 5})
    assert (plan["inventory"]["files"], plan["inventory"]["complete"]) == (27, True)
    pool = plan["pool"]
    assert (pool["name"], pool["assumed_because"]) == ("sas1", "the pool of the space")
    assert plan["freed"]["bytes"] >= 550_000
    after = 100 * (pool["used"] - plan["freed"]["bytes"]) / pool["capacity"]
    assert pool["percent_after"] == pytest.approx(after, abs=0.01)
    assert (plan["estimate"], plan["approval"], plan["refused_by"], plan["diff"]) == (None, None, None, None)
    said = machine.run("plan", "archive").stdout
    for words in ("matches nothing", "no past run of archive", "Would send", "sas1 at ", "none set"):
        assert words in said, said


@pytest.mark.long
def test_a_plan_changes_nothing_but_the_files_of_the_plan(machine: Machine) -> None:
    machine.fill(12)
    write(machine, "archive", "guards: {max_files: 100}\n")
    machine.up()
    assert machine.json("run", "archive", "--wait")["state"] == "succeeded"

    def seen() -> tuple[Any, ...]:
        jobs = json.loads(machine.run("hub", "GET", "/jobs/").stdout)["count"]
        return jobs, namespace(machine), machine.json("audit", "list"), machine.json("runs", "list")

    before = seen()
    ended = machine.run("plan", "archive", "--full", "--diff", "last", "--out", str(machine.folder / "list.csv"))
    assert ended.returncode == 0, ended.stderr
    assert seen() == before


@pytest.mark.long
def test_past_runs_tell_how_long_a_plan_takes(machine: Machine) -> None:
    machine.fill(10)
    write(machine, "archive")
    assert machine.json("run", "archive", "--wait")["state"] == "succeeded"
    machine.fill(30)
    found = machine.json("plan", "archive")["estimate"]
    assert found["runs"] == 1
    assert found["seconds"] > 0
    assert "at the rate of the only past run" in machine.run("plan", "archive").stdout


@pytest.mark.long
def test_a_diff_names_what_came_and_went_since_the_last_plan_and_against_a_file(machine: Machine) -> None:
    files = machine.fill(10)
    write(machine, "archive")
    ended = machine.run("plan", "archive", "--diff", "last", "--json")
    assert (ended.returncode, "no earlier plan of archive to compare with" in ended.stderr) == (0, True)
    first = json.loads(ended.stdout)
    assert first["diff"] is None
    files[0].unlink()
    (machine.projects / "new.mov").write_bytes(os.urandom(100))
    diff = machine.json("plan", "archive", "--diff", "last")["diff"]
    assert (diff["added"]["files"], diff["added"]["bytes"]) == (1, 100)
    assert diff["added"]["examples"] == ["/mmfs1/projects/new.mov"]
    assert (diff["removed"]["examples"], diff["same"]["files"]) == (["/mmfs1/projects/f0000.mov"], 9)
    by_digest = machine.json("plan", "archive", "--diff", first["digest"])["diff"]
    assert by_digest["removed"] == diff["removed"]
    other = write(machine, "other", text=OLD_AND_BIG.replace("[mov]", "[txt]"))
    said = machine.run("plan", "archive", "--diff", str(other)).stdout
    assert f"Against {other}" in said
    assert "+ /mmfs1/projects/f0001.mov" in said


@pytest.mark.long
def test_a_list_holds_every_file_and_replaces_only_a_list(machine: Machine) -> None:
    machine.fill(5)
    (machine.projects / "bad\udcff.mov").write_bytes(b"x" * 10)
    write(machine, "archive")
    out = machine.folder / "list.csv"
    for _ in range(2):
        assert machine.json("plan", "archive", "--out", str(out))["out"] == str(out)
    with out.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["path"] for row in rows} == {f"/mmfs1/projects/f{n:04}.mov" for n in range(5)} | {
        "/mmfs1/projects/bad\udcff.mov"
    }
    out.write_text("name,phone\n")
    for target, words in (
        (out, "is no list of a plan"),
        (machine.folder / "list.txt", "ends in .csv, .jsonl, .ndjson or .parquet"),
        (machine.folder / "none" / "list.csv", "there is no folder"),
    ):
        ended = machine.run("plan", "archive", "--out", str(target))
        assert (ended.returncode, words in ended.stderr) == (2, True), ended.stderr
    assert out.read_text() == "name,phone\n"


def test_a_list_of_a_plan_can_be_a_policys_manifest(machine: Machine) -> None:
    machine.fill(5)
    write(machine, "archive")
    machine.json("plan", "archive", "--out", "list.jsonl")
    listed = OLD_AND_BIG.replace("{{space: projects}}", "{{manifest: list.jsonl}}")
    write(machine, "listed", text=listed)
    assert machine.json("plan", "listed")["files"] == 5


@pytest.mark.long
def test_what_a_run_would_meet_is_said_before_it_starts(machine: Machine) -> None:
    machine.fill(5)
    write(machine, "refused", "guards: {max_files: 3}\n")
    ended = machine.run("plan", "refused")
    assert (ended.returncode, "A run would be refused: the plan holds 5 files" in ended.stdout) == (1, True)
    write(machine, "asks", "guards: {max_files: 3, on_exceed: ask}\napproval: {not_by_owner: true}\n")
    ended = machine.run("plan", "asks")
    assert ended.returncode == 0
    assert "somebody else than who starts the run must agree within 1 d: the plan holds 5 files" in ended.stdout
    write(machine, "cut", "guards: {max_files: 3, on_exceed: truncate}\n")
    plan = machine.json("plan", "cut")
    assert (plan["files"], plan["truncated_by_guard"], plan["passed_over"]) == (3, True, {"limit_reached": 2})
    write(machine, "later", "enabled: false\n")
    assert "The policy is disabled" in machine.run("plan", "later").stdout


def test_a_policy_of_several_sites_is_planned_for_the_one_that_is_named(machine: Machine) -> None:
    machine.fill(2)
    write(machine, "both", text=OLD_AND_BIG.replace("site: london", "sites: [paris, london]"))
    ended = machine.run("plan", "both")
    assert (ended.returncode, "choose one, such as --site paris" in ended.stderr) == (2, True)
    assert machine.json("plan", "both", "--site", "london")["site"] == "london"
    ended = machine.run("plan", "both", "--site", "londn")
    assert (ended.returncode, "did you mean `london`?" in ended.stderr) == (2, True)


def test_ages_from_another_day_are_said(machine: Machine) -> None:
    machine.fill(2)
    write(machine, "archive")
    assert machine.json("plan", "archive", "--as-of", "2030-01-01")["as_of"] == "2030-01-01T00:00:00Z"
    said = machine.run("plan", "archive", "--as-of", "2030-01-01", TZ="UTC").stdout
    assert "2030-01-01 00:00:00, as asked, not from now" in said


def test_an_interrupted_plan_leaves_nothing_behind(machine: Machine) -> None:
    machine.fill(300)
    write(machine, "archive")
    machine.up()
    plan = machine.start("plan", "archive", "--out", str(machine.folder / "list.csv"))
    time.sleep(1.2)
    plan.send_signal(signal.SIGINT)
    _, said = plan.communicate(timeout=30)
    assert plan.returncode in (0, 130), said
    assert "Traceback" not in said
    assert [file for file in machine.folder.iterdir() if file.name.endswith(".part")] == []
    spill = machine.state / "spill"
    assert not spill.is_dir() or not [one for one in spill.iterdir() if one.name.startswith("work-")]
    kept = machine.state / "store" / "inventories"
    assert all((one / "inventory.json").is_file() for one in kept.iterdir()) if kept.is_dir() else True


def test_what_the_hub_does_not_know_is_said_of_a_list_and_of_a_hub_workflow(machine: Machine) -> None:
    machine.fill(1)
    (machine.folder / "list.txt").write_text("/mmfs1/projects/f0000.mov\n/mmfs1/projects/gone.mov\n/mmfs1/projects\n")
    text = OLD_AND_BIG[: OLD_AND_BIG.index("  rules")].replace("{{space: projects}}", "{{manifest: list.txt}}")
    write(machine, "listed", text=text + "run: {{workflow: migrat, queue: defalt}}\n")
    plan = machine.json("plan", "listed")
    assert plan["doubts"] == [
        "the Hub has no workflow migrat: did you mean `migrate`?",
        "site london has no queue defalt: did you mean `default`?",
        "2 of the 3 listed paths are not known to the Hub as files, such as /mmfs1/projects, /mmfs1/projects/gone.mov: "
        "a run counts them as failed (no_such_file)",
    ]
    assert "Look: the Hub has no workflow migrat: did you mean `migrate`?" in machine.run("plan", "listed").stdout


def test_a_plan_that_the_hub_has_nothing_against_warns_of_nothing(machine: Machine) -> None:
    machine.fill(1)
    write(machine, "archive")
    assert machine.json("plan", "archive")["doubts"] == []


def test_a_site_that_the_hub_does_not_have_is_named_with_the_nearest(machine: Machine) -> None:
    write(machine, "elsewhere", text=OLD_AND_BIG.replace("site: london", "site: londn"))
    for command in (["plan", "elsewhere"], ["explain", "elsewhere", "/mmfs1/projects/a"]):
        ended = machine.run(*command)
        assert ended.returncode == 2
        assert ended.stderr.splitlines()[-1] == "the Hub has no site londn: did you mean `london`?"


@pytest.mark.long
def test_what_is_migrated_already_is_not_said_to_be_sent(machine: Machine) -> None:
    machine.fill(3)
    write(machine, "archive")
    assert "Would send  3 files" in machine.run("plan", "archive").stdout
    assert machine.run("run", "archive").returncode == 0
    said = machine.run("plan", "archive").stdout
    assert "Would send  0 files, 0 B" in said
    assert "Would skip  3 files, 58.6 KiB: are migrated already (already_done)" in said
    assert machine.json("plan", "archive")["there_already"] == {"files": 3, "bytes": 60_000}


def test_a_difference_and_an_exclude_that_matches_nothing_are_seen_first(machine: Machine) -> None:
    machine.fill(1)
    write(machine, "archive", text=OLD_AND_BIG.replace("  rules:", '  exclude: [{{path: "**/legal/**"}}]\n  rules:'))
    machine.json("plan", "archive")
    lines = machine.run("plan", "archive", "--diff", "last").stdout.splitlines()
    assert lines[1].startswith("Against the plan of")
    idle = next(line for line in lines if line.startswith("exclude"))
    assert idle.split() == ["exclude", "path", "matches", "**/legal/**", "0", "matches", "nothing"]
