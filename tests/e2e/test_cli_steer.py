"""Steering an open run from the command line."""

import pytest

from tests.machine import Machine, eventually


@pytest.mark.long
def test_limits_are_set_while_a_run_is_open(machine: Machine) -> None:
    machine.fill(60)
    machine.policy(batch=1, concurrency=2)
    machine.up(ORCHESTRATOR_LOCALHUB_OPTIONS="--file-delay 2")
    run = machine.json("run", "archive", "--no-wait")["run_id"]
    assert eventually(lambda: len(machine.json("runs", "show", run)["in_flight"]) == 2)

    faster = machine.run("runs", "set", run, "--concurrency", "9", "--rate", "6000/min", "--rate", "1GiB/min")
    assert (faster.returncode, faster.stderr) == (0, "")
    assert faster.stdout == f"{run}: running\n9 jobs at a time, 6,000 files a minute, 1GiB a minute\n"
    assert eventually(lambda: len(machine.json("runs", "show", run)["in_flight"]) == 9)

    limits = machine.json("runs", "set", run, "--rate", "off", "--rate", "2jobs/min", "--reason", "visitors")
    assert (limits["concurrency"], limits["rate"]) == (9, {"jobs_per_minute": 2})
    told = machine.run("audit", "list", "--run", run, "--json").stdout
    assert '"reason":"visitors"' in told.replace(": ", ":")

    bounded = machine.run("limits", "set", "--site", "london", "--jobs", "2", "--reason", "a rebuild")
    assert bounded.stdout == "At most 2 jobs at a time at site london, whatever the runs may do.\n"
    [listed] = machine.json("limits", "list")
    assert (listed["site"], listed["jobs"], listed["reason"]) == ("london", 2, "a rebuild")
    queued = machine.run("limits", "set", "--site", "london", "--queue", "default", "--jobs", "3")
    assert queued.stdout == "At most 3 jobs at a time at queue default of site london, whatever the runs may do.\n"
    machine.run("limits", "set", "--site", "london", "--queue", "default", "--jobs", "off")
    wrong = machine.run("limits", "set", "--site", "londn", "--jobs", "2")
    assert (wrong.returncode, "did you mean `london`?" in wrong.stderr) == (2, True)
    assert machine.run("limits", "set", "--site", "london", "--jobs", "off").returncode == 0
    assert machine.json("limits", "list") == []

    nameless = machine.run("limits", "set", "--queue", "default", "--jobs", "3")
    assert (nameless.returncode, "name what is bounded" in nameless.stderr) == (2, True)

    so_far = machine.run("runs", "files", run, "--limit", "1")
    assert (so_far.returncode, f"Run {run} is open" in so_far.stderr) == (0, True)
    dry = machine.run("runs", "retry-failed", run, "--dry-run")
    assert dry.stdout == f"{run} is open: no such file failed so far.\n"

    for arguments, said in (
        (("--concurrency", "many"), "--concurrency many: write a number of jobs from 1 to 1000, or auto"),
        (("--concurrency", "auto"), "its policy gives no bounds between which its concurrency could adapt"),
        (("--rate", "fast"), "--rate fast: write it as 60000/min (files), 1GiB/min, 30jobs/min, or off"),
        (("--rate", "7GiBs/min"), "--rate 7GiBs/min: "),
        (("--window", "offf"), "--window offf: did you mean `off`?"),
        (("--window", "off"), "its policy has no windows"),
        ((), "no limit was named"),
    ):
        refused = machine.run("runs", "set", run, *arguments)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr

    past = machine.run("runs", "pause", run, "--until", "2020-01-01")
    assert (past.returncode, "name a time to come" in past.stderr) == (2, True)
    paused = machine.run("runs", "pause", run, "--until", "2099-01-01", "--reason", "visitors")
    assert (
        "waits for the end of " in paused.stdout and "'s pause at 2099-01-01 00:00:00 UTC (visitors)" in paused.stdout
    )
    cancelled = machine.run("runs", "cancel", run, "--keep-jobs")
    assert (cancelled.returncode, cancelled.stdout.startswith(f"{run}: cancel")) == (0, True)
    assert eventually(lambda: machine.json("runs", "show", run)["state"] == "cancelled")
