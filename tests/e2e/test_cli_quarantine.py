"""`quarantine` and `runs skip-stage` as people use them: a file that keeps failing is seen, explained and released."""

import json

import pytest

from tests.machine import Machine, eventually

CAMPAIGN = """\
version: 1
name: campaign
site: london
select: {from: {space: projects}}
run:
  stages: [{workflow: premigrate}, {wait: 7d, unless_changed: true}, {workflow: migrate}]
retry:
  failed_files: {attempts: 3, wait: [1s]}
  quarantine: {after: 2, for: 14d}
"""
TORN = "/mmfs1/projects/a/torn.mov"


@pytest.fixture
def faulty(machine: Machine) -> dict[str, str]:
    """Settings of a local Hub on which one file always fails, with a message that would steer a terminal."""
    for name in ("torn", "one", "two"):
        file = machine.projects / "a" / f"{name}.mov"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"12345")
    action = {"kind": "path_fail", "code": "EIO", "message": "the tape \x1b[31mis torn"}
    rules = machine.folder / "faults.json"
    rules.write_text(json.dumps({"rules": [{"name": "torn", "action": action, "match": {"file": "*/torn.mov"}}]}))
    (machine.policies / "campaign.yaml").write_text(CAMPAIGN)
    return {"ORCHESTRATOR_LOCALHUB_OPTIONS": f"--faults {rules}"}


@pytest.mark.long
def test_a_file_that_keeps_failing_is_listed_explained_and_released(machine: Machine, faulty: dict[str, str]) -> None:
    (machine.policies / "campaign.yaml").write_text(CAMPAIGN.replace("{wait: 7d, unless_changed: true}, ", ""))
    ended = machine.run("run", "campaign", **faulty)
    assert ended.returncode == 0, ended.stderr
    assert "Quarantined  1 file" in ended.stdout and "adds up" in ended.stdout

    listed = machine.run("quarantine", "list")
    assert TORN in listed.stdout and "the tape \\x1b[31mis torn" in listed.stdout and "\x1b" not in listed.stdout
    one = machine.json("quarantine", "list")
    assert (one["path"], one["reason"], one["tries"], one["quarantined"]) == (TORN, "hub_error", 2, True)
    assert "left alone until" in machine.run("quarantine", "show", TORN).stdout

    plan = machine.run("plan", "campaign", **faulty).stdout
    assert "stays: in quarantine: they keep failing" in plan
    explained = machine.run("explain", "campaign", TORN, **faulty).stdout
    assert "But it is in quarantine: it failed 2 times in a row, last with hub_error" in explained

    assert machine.run("quarantine", "release", TORN).returncode == 2
    assert machine.json("quarantine", "release", TORN, "--why", "a new tape") == {"released": 1}
    assert machine.run("quarantine", "release", "--all", "--why", "again").returncode == 1
    assert "No file is in quarantine." in machine.run("quarantine", "list").stdout


@pytest.mark.long
def test_a_wait_of_a_campaign_is_seen_and_ended_by_hand(machine: Machine, faulty: dict[str, str]) -> None:
    machine.up(**faulty)
    run = machine.json("run", "campaign", "--no-wait")["run_id"]
    assert eventually(lambda: "the end of stage 2 (wait 1w)" in machine.run("runs", "show", run).stdout, within=30)
    skipped = machine.run("runs", "skip-stage", run, "--reason", "the week is over")
    assert (skipped.returncode, skipped.stdout.startswith(f"{run}: ")) == (0, True), skipped.stderr
    again = machine.run("runs", "skip-stage", run, "--stage", "9")
    assert again.returncode == 2 and ("it has no stage 9, but 3 of them" in again.stderr or "is over" in again.stderr)
    assert eventually(lambda: machine.run("runs", "show", run).stdout.startswith("succeeded"), within=30)
    shown = machine.run("runs", "show", run).stdout
    assert "Done         2 files" in shown and "Quarantined  1 file" in shown and "adds up" in shown
