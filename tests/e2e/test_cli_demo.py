"""The rehearsal that proves the whole job."""

from tests.machine import Machine


def test_the_demo_proves_that_nothing_is_lost(machine: Machine) -> None:
    import shutil
    from pathlib import Path

    shutil.copy(Path(__file__).parents[2] / "policies" / "archive-cold-media.yaml", machine.policies)
    found = machine.json("demo", "--files", "300")
    assert found["proved"] is True, found
    assert found["state"] == "succeeded"
    assert found["files"] == 300
    assert found["hard_names"] == 24
    assert found["done"] == found["planned"] > 100
    assert all(claim["holds"] for claim in found["proof"])
