"""The rehearsal that proves the whole job."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.machine import Machine


@pytest.mark.long
def test_the_demo_proves_that_nothing_is_lost(machine: Machine) -> None:
    shutil.copy(Path(__file__).parents[2] / "policies" / "archive-cold-media.yaml", machine.policies)
    found = machine.json("demo", "--files", "300")
    assert found["proved"] is True, found
    assert found["state"] == "succeeded"
    assert found["files"] == 300
    assert found["hard_names"] == 24
    assert found["done"] == found["planned"] > 100
    assert all(claim["holds"] for claim in found["proof"])
    assert any("MiB in all" in claim["claim"] for claim in found["proof"])


@pytest.mark.parametrize("moment", ["made a project tree", "starting a worker"])
def test_an_interrupted_demo_leaves_nothing_behind(machine: Machine, moment: str) -> None:
    machine.policy("archive-cold-media")
    temporary = machine.folder / "temporary"
    temporary.mkdir()
    process = machine.start("demo", "--files", "300", TMPDIR=str(temporary))
    assert process.stderr is not None
    assert any(moment in line for line in process.stderr)
    assert list(temporary.glob("orchestrator-demo-*"))
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "goes away" in said
    assert "runs watch" not in said
    assert not list(temporary.glob("orchestrator-demo-*"))
