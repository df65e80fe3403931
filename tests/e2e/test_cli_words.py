"""What the command line says where there is nothing to do, or no place to do it."""

import pytest

from tests.machine import Machine


def test_the_version_is_shown(machine: Machine) -> None:
    ended = machine.run("--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("orchestrator ")


@pytest.mark.parametrize("noun", ["", "runs"])
def test_a_bare_noun_shows_its_help_and_nothing_else(machine: Machine, noun: str) -> None:
    ended = machine.run(*noun.split())
    assert ended.returncode == 2
    assert f"Usage: {f'orchestrator {noun}'.strip()}" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("command", ["up", "runs list", "doctor"])
def test_a_state_directory_that_cannot_be_is_named_with_its_setting(machine: Machine, command: str) -> None:
    (machine.folder / "file").write_text("in the way")
    ended = machine.run(*command.split(), ORCHESTRATOR_STATE_DIR=str(machine.folder / "file" / "state"))
    assert ended.returncode in (2, 3)
    assert str(machine.folder / "file" / "state") in ended.stdout + ended.stderr
    assert "Set ORCHESTRATOR_STATE_DIR to a folder" in ended.stdout + ended.stderr
