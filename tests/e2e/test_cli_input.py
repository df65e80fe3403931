"""Commands that need no service: help, checks, and what is said about bad input."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import Machine

HERE = Path(__file__).parents[2]
GOLDEN = HERE / "tests" / "golden" / "cli"


@pytest.mark.parametrize("command", ["", "run", "runs", "next"])
def test_help_reads_as_it_did(machine: Machine, command: str) -> None:
    ended = machine.run(*command.split(), "--help", COLUMNS="80", TERMINAL_WIDTH="80", NO_COLOR="1")
    golden = GOLDEN / f"help{command and '-' + command}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(ended.stdout, "utf-8")
    assert ended.returncode == 0
    assert ended.stdout == golden.read_text("utf-8")


def test_help_takes_less_than_half_a_second_of_work(machine: Machine) -> None:
    """Counted is the processor's time: how long somebody waits depends on what else the machine does."""
    machine.run("--help")
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert machine.run("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.5, times


def test_our_packages_are_those_of_this_checkout() -> None:
    script = (
        "import activities, orchestrator, workflows as w; print(activities.__file__, orchestrator.__file__, w.__file__)"
    )
    found = subprocess.run([sys.executable, "-P", "-c", script], cwd="/", capture_output=True, text=True, check=True)
    for file in found.stdout.split():
        assert Path(file).is_relative_to(HERE), file


def test_a_right_policy_passes_the_check(machine: Machine) -> None:
    machine.policy()
    ended = machine.run("check")
    assert (ended.returncode, ended.stdout.split()[0]) == (0, "ok")
    assert machine.json("check")["ok"] is True


def test_a_wrong_policy_is_named_with_file_line_and_column(machine: Machine) -> None:
    file = machine.policy()
    file.write_text(file.read_text().replace("concurrency: 2", "concurency: 2"))
    ended = machine.run("check", str(file))
    assert ended.returncode == 2
    assert f"{file}:" in ended.stdout
    assert "concurrency" in ended.stdout
    assert machine.run("run", "archive", "--wait").returncode == 2
    assert machine.json("check")["ok"] is False


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bogus"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "nosuch"], "/policies: there is no policy `nosuch`"),
        (["plan", "/nowhere.yaml"], "/nowhere.yaml"),
        (["run", "archive", "--as-of", "yesterday"], "expected a time"),
        (["run", "archive", "--as-of", "2999-01-01"], "in the future"),
        (["runs", "list", "--limit", "0"], "--limit"),
        (["runs", "files", "no-such-run"], "no run no-such-run"),
        (["runs", "files", "r", "--outcome", "wrong"], "one of done, skipped, failed"),
        (["runs", "list", "--policy", "nosuch"], "no policy nosuch and no run of it: expected archive"),
        (["audit", "list", "--event", "nonsense"], "one of run.started, run.preflight"),
        (["starts", "archiv"], "no policy archiv and no start of it: did you mean `archive`?"),
        (["check", "/nowhere"], "/nowhere: there is no such file or folder"),
        (["rollback", "archive", "--to", "first"], "expected a version such as 3 or v3"),
        (["hub", "FETCH", "/jobs/"], "FETCH"),
    ],
)
def test_bad_input_ends_with_2_and_plain_lines(machine: Machine, command: list[str], said: str) -> None:
    machine.policy()
    ended = machine.run(*command)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 4


def test_a_wrong_setting_ends_with_2_and_one_line(machine: Machine) -> None:
    ended = machine.run("check", ORCHESTRATOR_HUB_ULR="https://hub.example/api")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == ["ORCHESTRATOR_HUB_ULR: no such setting; did you mean ORCHESTRATOR_HUB_URL?"]


def test_a_traceback_is_shown_on_demand_only(machine: Machine) -> None:
    assert "Traceback" in machine.run("run", "nosuch", ORCHESTRATOR_DEBUG="1").stderr


def test_a_worker_without_a_hub_says_what_to_set(machine: Machine) -> None:
    ended = machine.run("worker")
    assert ended.returncode == 2
    assert "ORCHESTRATOR_HUB_URL" in ended.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TEMPORAL_ADDRESS": "127.0.0.1:9"}, "Temporal does not answer at 127.0.0.1:9"),
        ({"TEMPORAL_ADDRESS": "127.0.0.1:9", "ORCHESTRATOR_HUB_URL": "http://127.0.0.1:9/api"}, "127.0.0.1:9"),
    ],
)
def test_a_service_that_does_not_answer_ends_with_3(machine: Machine, variables: dict[str, str], said: str) -> None:
    machine.policy()
    ended = machine.run("runs", "list", **variables)
    assert ended.returncode == 3, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_hub_that_does_not_answer_ends_with_3(machine: Machine) -> None:
    machine.policy()
    ended = machine.run("plan", "archive", ORCHESTRATOR_HUB_URL="http://127.0.0.1:9/api", ORCHESTRATOR_HUB_KEY="k")
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_typed_comes_back_escaped(machine: Machine) -> None:
    machine.policy()
    for command in (["x\x1b[31m\u202e"], ["plan", "x\x1b[31m\u202e"], ["check", "x\x1b[31m\u202e.yaml"]):
        ended = machine.run(*command)
        assert ended.returncode == 2
        assert "x\\x1b[31m\\u202e" in ended.stdout + ended.stderr, command
        assert not {"\x1b", "\u202e"} & {*ended.stdout, *ended.stderr}


def test_a_policy_whose_own_tests_fail_is_not_run(machine: Machine) -> None:
    file = machine.policy()
    with file.open("a") as more:
        more.write("tests:\n  - {file: {path: /mmfs1/projects/a.mov, status: resident}, expect: stays}\n")
    ended = machine.run("run", "archive")
    assert ended.returncode == 2
    line = len(file.read_text().splitlines())
    assert ended.stderr.startswith(f"{file}:{line}:5: tests[0]: expected stays, found selected by rule media")
