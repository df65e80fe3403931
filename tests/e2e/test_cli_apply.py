"""Applying, pausing, freezing and rolling back by command, as an administrator types it."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from activities.ledger.log import AuditLog
from orchestrator.settings import load_settings
from tests.machine import Machine, eventually

SCHEDULED = """\
version: 1
name: nightly
site: london
labels: {tier: cold}
triggers:
  - schedule: {cron: "0 22 * * 1-5", timezone: Europe/London}
select: {from: {space: projects}, rules: [{name: media, match: {type: mov}}]}
run: {workflow: migrate}
"""


@pytest.fixture
def nightly(machine: Machine) -> Path:
    file = machine.policies / "nightly.yaml"
    file.write_text(SCHEDULED)
    return file


@pytest.mark.long
def test_a_policys_life_from_apply_to_destroy(machine: Machine, nightly: Path) -> None:
    machine.up()
    for command in ("pause nightly", "rollback nightly", "history nightly", "destroy nightly --yes"):
        early = machine.run(*command.split())
        assert (early.returncode, "applied" in early.stderr) == (2, True), command
    nightly.write_text(SCHEDULED + "tests: [{file: {path: /a/x.doc}, expect: {rule: media}}]\n")
    failing = machine.run("apply", "--yes")
    assert (failing.returncode, "nightly.yaml:9:" in failing.stderr) == (2, True)
    nightly.write_text(SCHEDULED)
    (machine.policies / "wrong.yaml").write_text("version: 1\nnme: wrong\n")
    refused = machine.run("apply", "--prune", "--yes")
    assert (refused.returncode, "wrong.yaml:2:1" in refused.stderr, refused.stdout) == (2, True, "")
    seen = machine.run("status")
    assert (seen.returncode, "invalid" in seen.stdout, "nightly" in seen.stdout) == (2, True, True)
    (machine.policies / "wrong.yaml").unlink()
    left, seen = _interrupted_at_the_question(machine, "apply")
    assert (left, "[y/N]" in seen) == (130, True), seen
    asked = machine.run("apply")
    assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
    applied = machine.run("apply", "--yes", "--reason", "the first")
    assert applied.returncode == 0, applied.stderr
    assert "+ nightly  new, version 1" in applied.stdout
    assert "+ schedule 0 22 * * 1-5 Europe/London at london" in applied.stdout
    assert machine.run("apply", "nightly").stdout.startswith("Nothing to do")

    assert machine.run("pause", "nightly", "--note", "lunch").returncode == 0
    nightly.write_text(SCHEDULED.replace("0 22", "0 23"))
    [standing] = machine.json("status")
    assert (standing["version"], standing["folder"], standing["parts"][0]["paused"]) == (1, "changed", True)
    changed = machine.run("apply", "--yes")
    assert "nightly  version 1 -> 2" in changed.stdout
    assert "stays paused" in changed.stdout
    [standing] = machine.json("status", "nightly")
    assert (standing["version"], standing["folder"], standing["parts"][0]["paused"]) == (2, "in sync", True)
    misspelt = machine.run("status", "nigthly")
    assert (misspelt.returncode, "did you mean `nightly`" in misspelt.stderr) == (2, True)
    refused = machine.run("run", "nightly", "--wait")
    assert (refused.returncode, "paused policy nightly" in refused.stderr) == (2, True)
    assert "`orchestrator resume nightly` ends that" in refused.stderr
    resumed = machine.run("resume", "nightly")
    assert (resumed.stdout, ": lunch." in resumed.stderr) == ("nightly starts by itself again.\n", True)
    assert machine.run("next", "nightly", "--count", "3").stderr.strip() == "The engine has the same times."

    rolled = machine.json("rollback", "nightly", "--yes")
    assert (rolled["policies"][0]["applied_version"], rolled["policies"][0]["version"]) == (2, 3)
    versions = machine.json("history", "nightly")
    assert [one["version"] for one in versions] == [1, 2, 3]
    assert versions[0]["digest"] == versions[2]["digest"]
    assert versions[2]["reason"] == "rollback to version 1"
    assert machine.run("history", "nightly", "--version", "1").stdout == SCHEDULED

    machine.run("pause", "nightly", "--note", "to be removed")
    gone = machine.run("destroy", "nightly", "--yes")
    assert "It is not applied, so nothing starts it by itself." in machine.run("resume", "nightly").stdout
    again = machine.run("resume", "nightly")
    assert (again.returncode, "`orchestrator apply nightly` does that" in again.stderr) == (2, True)
    assert (gone.returncode, "- nightly  is removed" in gone.stdout) == (0, True)
    [standing] = machine.json("status")
    assert (standing["version"], standing["folder"], standing["parts"]) == (None, "not applied", [])
    assert machine.run("audit", "verify").returncode == 0


@pytest.mark.long
def test_an_interrupted_apply_says_what_is_recorded_and_what_finishes_it(machine: Machine) -> None:
    for number in range(25):
        (machine.policies / f"p{number:02}.yaml").write_text(SCHEDULED.replace("nightly", f"p{number:02}"))
    machine.up()
    settings = load_settings(state_dir=machine.state)
    log = AuditLog(settings.audit.get_secret_value())
    applying = machine.start("apply", "--yes")
    assert eventually(lambda: bool(log.records(event="policy.applied", limit=1)))
    applying.send_signal(signal.SIGINT)
    _, said = applying.communicate(timeout=30)
    made = len(log.records(event="policy.applied", limit=1_000))
    log.close()
    are = "is" if made == 1 else "are"
    assert (applying.returncode, made < 25) == (130, True)
    assert f"Interrupted: of 25 new versions {made} {are} recorded (p00" in said
    assert said.endswith(": `orchestrator apply` finishes it.\n")
    finished = machine.run("apply", "--yes")
    assert f"Policies: {25 - made} to create, " in finished.stdout
    (machine.policies / "p00.yaml").write_text(SCHEDULED.replace("nightly", "p00").replace(": migrate}", ": migrat}"))
    warned = machine.run("apply", "p00", "--dry-run")
    assert "--prune" not in warned.stderr
    assert "warning: policy p00: the Hub has no workflow migrat: did you mean `migrate`?" in warned.stderr
    for number in range(1, 25):
        (machine.policies / f"p{number:02}.yaml").unlink()
    assert "  24 policies are applied, and not in the folder: they stay" in machine.run("apply", "--dry-run").stderr


@pytest.mark.long
def test_a_freeze_stops_every_start_is_seen_everywhere_and_restores_what_was(machine: Machine, nightly: Path) -> None:
    machine.fill(30)
    slow = machine.policies / "slow.yaml"
    slow.write_text(
        SCHEDULED.replace("nightly", "slow").replace(
            "{workflow: migrate}", "{workflow: migrate, batch: {files: 1}, concurrency: 1}"
        )
    )
    machine.up(ORCHESTRATOR_LOCALHUB_OPTIONS="--file-delay 0.3")
    machine.run("apply", "--yes")
    started = machine.json("run", "slow", "--no-wait")["run_id"]
    assert eventually(lambda: machine.json("runs", "show", started)["state"] == "running")
    frozen = machine.json("freeze", "--reason", "a leak", "--label", "tier=cold", "--runs")
    assert frozen["paused_runs"] == [started]
    listed = machine.run("runs", "list")
    assert "a leak" in listed.stderr
    refused = machine.run("run", "nightly", "--wait")
    assert (refused.returncode, "a leak" in refused.stderr) == (2, True)
    assert "`orchestrator thaw " in refused.stderr
    assert machine.json("runs", "show", started)["state"] == "paused"
    wrong = machine.run("freeze", "--reason", "a fire", "--site", "londn", "--runs")
    assert (wrong.returncode, "did you mean `london`?" in wrong.stderr) == (2, True)
    second = machine.json("freeze", "--reason", "a fire", "--site", "london", "--runs")
    assert (second["paused_runs"], second["policies"]) == ([started], ["nightly", "slow"])
    which = machine.run("thaw")
    assert (which.returncode, len(which.stderr.splitlines())) == (2, 3), which.stderr
    still = machine.run("runs", "resume", started)
    assert (still.returncode, f"the end of freeze {second['number']} by " in still.stdout) == (0, True)
    thawed = machine.json("thaw", "--label", "tier=cold")
    assert (thawed[0]["resumed_runs"], list(thawed[0]["still_paused"])) == ([], [started])
    thawed = machine.json("thaw", "--site", "london")
    assert thawed[0]["resumed_runs"] == [started]
    assert machine.run("runs", "list").stderr == ""
    assert machine.json("runs", "show", started)["state"] in ("running", "succeeded")


@pytest.mark.long
def test_backfill_makes_the_starts_of_the_past_with_their_own_time(machine: Machine, nightly: Path) -> None:
    machine.fill(2)
    machine.up()
    machine.run("apply", "--yes")
    looked = machine.json("backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-05", "--dry-run")
    assert [one["at"] for one in looked] == [f"2026-11-{day:02}T22:00:00Z" for day in (2, 3, 4)]
    machine.run("freeze", "--reason", "a leak")
    held = machine.run("backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-05", "--yes")
    assert (held.returncode, "nothing was started: " in held.stderr) == (2, True)
    machine.run("thaw")
    made = machine.json("backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-05", "--yes")
    assert [one["started"] for one in made] == [True] * 3
    assert eventually(lambda: [one["state"] for one in machine.json("starts", "nightly")] == ["begun"] * 3, within=60)
    starts = machine.json("starts", "nightly")
    assert [one["scheduled"][:10] for one in reversed(starts)] == ["2026-11-02", "2026-11-03", "2026-11-04"]
    again = machine.json("backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-05", "--yes")
    assert [(one["started"], one["made_up"]) for one in again] == [(False, one["run"]) for one in reversed(starts)]
    said = machine.run("backfill", "nightly", "--from", "2026-11-02", "--to", "2026-11-05", "--yes").stdout
    assert "All of them were made up already" in said
    assert len(machine.json("starts", "nightly")) == 3, "the same time is started once"


def _interrupted_at_the_question(machine: Machine, command: str) -> tuple[int, str]:
    """Run a command at a terminal, interrupt it as soon as it asks, and give its exit code and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator", command],
        cwd=machine.folder,
        env=machine.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    seen = ""
    try:
        while "[y/N]" not in seen:
            seen += os.read(ours, 4096).decode()
        process.send_signal(signal.SIGINT)
        return process.wait(timeout=10), seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)
