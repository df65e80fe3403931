"""`notify` and `doctor` say how the targets do, and show nothing of an address."""

from pathlib import Path

import pytest

from tests.machine import Machine
from tests.notice_targets import webhook

SECRET = "hook-s3cr3t-of-the-address"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_target_that_works_gets_a_notice_and_one_that_does_not_says_why(machine: Machine) -> None:
    with webhook() as hook:
        file = machine.folder / "notify.yaml"
        file.write_text(
            f"targets:\n  ops: {{url: '{hook.url(SECRET)}'}}\n  gone: {{url: 'json://127.0.0.1:1/{SECRET}'}}\n"
        )
        machine.environment["ORCHESTRATOR_NOTIFY_FILE"] = str(file)
        machine.environment["ORCHESTRATOR_LOG_LEVEL"] = "debug"
        tried = machine.run("notify", "test")
        assert tried.returncode == 3
        assert "ok    ops: it took the notice" in tried.stdout
        assert "fail  gone: A Connection error occurred" in tried.stdout
        assert hook.titles == ["A test of ops"]
        listed = machine.json("notify", "list")
        doctor = machine.json("doctor")
    assert [one["target"] for one in listed["targets"]] == ["ops", "gone"] and listed["notices"] == []
    (finding,) = [one for one in doctor["findings"] if one["about"] == "Notices"]
    assert (finding["health"], finding["found"]) == ("ok", "2 targets, 0 notices wait")
    assert SECRET not in tried.stdout + tried.stderr + str(listed) + str(doctor)


def test_without_targets_doctor_warns(machine: Machine) -> None:
    (finding,) = [one for one in machine.json("doctor")["findings"] if one["about"] == "Notices"]
    assert finding["health"] == "warn" and "ORCHESTRATOR_NOTIFY_FILE" in finding["advice"]
    assert "No target is set" in machine.run("notify", "list").stdout
