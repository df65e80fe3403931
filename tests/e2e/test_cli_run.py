"""A run from the command line on an empty machine: it starts what is missing, and leaves nothing behind."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.machine import Machine, eventually


@pytest.mark.long
def test_plan_then_run_then_look(machine: Machine) -> None:
    files = machine.fill(25)
    (machine.projects / "notes.txt").write_text("stays")
    machine.policy(batch=10)

    plan = machine.json("plan", "archive")
    assert (plan["files"], plan["batches"], plan["bytes"]) == (25, 3, 25 * 20_000)
    assert plan["passed_over"] == {"no_rule": 1}
    assert all(path.stat().st_blocks for path in files), "a plan moves nothing"

    ended = machine.run("run", "archive", "--wait", "--json", "--reason", "a test")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["state"] == "succeeded"
    assert report["policy"] == "archive"
    assert report["plan"]["files"] == 25
    assert report["outcomes"] == {"done": 25, "skipped": {}, "failed": {}, "quarantined": 0, "cancelled": 0}
    assert sorted((job["batch"], job["round"], job["state"], job["files"]) for job in report["jobs"]) == [
        (0, 1, "SUCCESS", 10),
        (1, 1, "SUCCESS", 10),
        (2, 1, "SUCCESS", 5),
    ]
    assert report["started"] < report["finished"]
    assert not any(path.stat().st_blocks for path in files)
    assert not machine.processes(), "a run stops what it started"

    assert machine.json("runs", "list")[0]["run_id"] == report["run_id"]
    assert machine.json("runs", "show")["outcomes"]["done"] == 25
    assert "25 files" in machine.run("runs", "show", report["run_id"]).stdout
    listed = machine.run("runs", "files", report["run_id"], "--outcome", "done", "--limit", "0", "--json")
    paths = [json.loads(line)["path"] for line in listed.stdout.splitlines()]
    assert sorted(paths) == [f"/mmfs1/projects/{path.name}" for path in files]
    assert machine.json("audit", "verify")["ok"] is True
    assert machine.run("runs", "show", "no-such-run").returncode == 2


@pytest.mark.long
def test_files_that_fail_for_ever_end_the_run_badly(machine: Machine, tmp_path: Path) -> None:
    machine.fill(6)
    machine.policy()
    rule = {
        "match": {"file": "*f0003.mov"},
        "action": {"kind": "path_fail", "code": "target_error", "message": "the target has no room"},
    }
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"rules": [rule]}))
    ended = machine.run("run", "archive", ORCHESTRATOR_LOCALHUB_OPTIONS=f"--faults {faults}")
    assert ended.returncode == 1, ended.stderr
    assert "failed" in ended.stdout
    run = machine.json("runs", "list")[0]["run_id"]
    assert run in ended.stdout
    failed = machine.run("runs", "files", run, "--outcome", "failed", "--json").stdout.splitlines()
    assert [json.loads(line)["path"] for line in failed] == ["/mmfs1/projects/f0003.mov"]
    assert "the target has no room" in failed[0]
    report = machine.json("runs", "show", run)
    assert report["outcomes"]["done"] == 5
    assert sum(report["outcomes"]["failed"].values()) == 1


def test_explain_says_which_rule_takes_a_file_and_why(machine: Machine) -> None:
    machine.fill(1)
    (machine.projects / "notes.txt").write_text("stays")
    machine.policy()
    taken = machine.json("explain", "archive", "/mmfs1/projects/f0000.mov")
    assert (taken["verdict"], taken["rule"]) == ("selected", "media")
    stays = machine.run("explain", "archive", "/mmfs1/projects/notes.txt")
    assert stays.returncode == 0
    assert "no rule matches" in stays.stdout
    assert machine.run("explain", "archive", "/mmfs1/projects/nothing").returncode == 2
    (machine.projects / "link.mov").symlink_to("f0000.mov")
    link = machine.run("explain", "archive", "/mmfs1/projects/link.mov")
    assert (link.returncode, "is a symlink, not a file: no run ever takes it" in link.stderr) == (2, True)


@pytest.mark.long
def test_an_interrupted_run_keeps_its_place_and_goes_on(machine: Machine) -> None:
    machine.fill(40)
    machine.policy(batch=5, concurrency=1)
    slow = "--file-delay 0.1"
    process = machine.start("run", "archive", "--wait", ORCHESTRATOR_LOCALHUB_OPTIONS=slow)
    blocks = list(machine.projects.iterdir())
    assert eventually(lambda: any(not path.stat().st_blocks for path in blocks), 30)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "keeps its place" in said
    assert not machine.processes()
    assert any(path.stat().st_blocks for path in blocks), "it was interrupted in the middle"
    listed = machine.run("runs", "files")
    assert (listed.returncode, "no worker runs here" in listed.stderr) == (3, True), "it is open, and nobody is at work"
    assert "starting Temporal" in listed.stderr
    ended = machine.run("runs", "watch", "latest", "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["outcomes"]["done"] == 40
    assert sum(job["files"] for job in report["jobs"]) == 40, "no file is sent twice"


def test_names_that_hurt_arrive_under_their_exact_name(machine: Machine) -> None:
    names = [
        b'take "1".mov',
        b"two\nlines.mov",
        b"latin1-\xe9.mov",
        "日本.mov".encode(),
        b"n" * 251 + b".mov",
        b" .mov",
    ]
    for name in names:
        (machine.projects / os.fsdecode(name)).write_bytes(name * 50)
    machine.policy()
    report = machine.json("run", "archive", "--wait")
    assert report["outcomes"]["done"] == len(names)
    target = machine.state / "files" / "nearline" / "projects"
    assert all((target / os.fsdecode(name)).read_bytes() == name * 50 for name in names)
    assert machine.run("runs", "files", report["run_id"]).returncode == 0


@pytest.mark.long
def test_the_shipped_recall_brings_a_plain_list_of_paths_back(machine: Machine) -> None:
    files = machine.fill(4)
    machine.policy()
    machine.up()
    assert machine.json("run", "archive", "--wait")["outcomes"]["done"] == 4
    shipped = Path(__file__).parents[2] / "policies" / "recall-by-list.yaml"
    shutil.copy(shipped, machine.policies)
    away = files[:2]
    listed = [f"/mmfs1/projects/{file.name}" for file in away]
    (machine.folder / "recall.txt").write_text("\n".join(listed))
    report = machine.json("run", "recall-by-list", "--wait")
    assert (report["state"], report["outcomes"]["done"]) == ("succeeded", 2)
    assert [bool(file.stat().st_blocks) for file in files] == [True, True, False, False]
    assert "the list recall.txt" in machine.run("explain", "recall-by-list", listed[0]).stdout

    asking = machine.policies / "recall-by-list.yaml"
    text = asking.read_text().replace("exclude:", "rules: [{name: away, match: {status: migrated}}]\n  exclude:")
    asking.write_text(text.partition("tests:")[0])
    plan = machine.run("plan", "recall-by-list")
    said = " ".join(plan.stdout.split())
    assert "2 files were passed over" in said
    assert "`status` (2)" in said
    assert "No file is selected" in said
    ended = machine.run("run", "recall-by-list", "--wait")
    assert "`status` (2)" in ended.stdout
    assert "No file was selected" in ended.stdout

    (machine.folder / "recall.txt").unlink()
    plan = machine.run("plan", "recall-by-list")
    lost = f"the list recall.txt (looked up as {machine.folder}/recall.txt): cannot be read: No such file"
    assert (plan.returncode, plan.stderr.splitlines()[-1][: len(lost)]) == (2, lost)
    assert lost in " ".join(machine.run("run", "recall-by-list", "--wait").stdout.split())
    assert f"before it had a plan, so no file is part of it: {lost}" in machine.run("runs", "files").stderr
    nonsense = machine.run("runs", "files", report["run_id"], "--reason", "nonsense")
    assert nonsense.returncode == 2
    assert "--reason nonsense: expected one of aborted, already_done" in nonsense.stderr


@pytest.mark.long
def test_a_listed_path_that_the_hub_never_knew_ends_failed(machine: Machine) -> None:
    machine.fill(1)
    (machine.folder / "list.txt").write_text("/mmfs1/projects/f0000.mov\n/mmfs1/projects/gone.mov\n")
    policy = machine.policies / "listed.yaml"
    policy.write_text("version: 1\nname: listed\nsite: london\nselect: {from: {manifest: list.txt}}\n")
    with policy.open("a") as more:
        more.write("run: {workflow: migrate}\n")
    ended = machine.run("run", "listed")
    assert ended.returncode == 1, ended.stderr
    assert "Failed  1 no_such_file" in ended.stdout
    rows = machine.run("runs", "files", "--outcome", "failed").stdout
    assert "/mmfs1/projects/gone.mov  (the Hub knows no such file)" in rows
    lines = machine.run("runs", "files").stdout.splitlines()
    assert len({line.index("/mmfs1/") for line in lines}) == 1, "the paths stand below each other"


@pytest.mark.long
def test_a_run_that_waits_for_a_person_says_what_to_type_and_when_nobody_does_that_nothing_was_sent(
    machine: Machine,
) -> None:
    machine.fill(1)
    file = machine.policy()
    with file.open("a") as more:
        more.write("approval: {required: always, expires: 2s}\n")
    ended = machine.run("run", "archive")
    assert ended.returncode == 1
    run = machine.json("runs", "list")[0]["run_id"]
    digest = machine.json("runs", "show")["plan"]["digest"]
    assert f"orchestrator approve {run} --digest {digest}\n" in ended.stderr
    assert f"orchestrator reject {run} --digest {digest} --reason '...'\n" in ended.stderr
    assert "Sent    nothing: no job was submitted, every file is as it was" in ended.stdout
    assert "Sum" not in ended.stdout
