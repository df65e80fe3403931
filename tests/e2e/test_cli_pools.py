"""`pools` shows a pool that a policy drains, and its curve."""

import pytest

from tests.machine import Machine, eventually

POLICY = """\
version: 1
name: drain-sas1
site: london
triggers:
  - threshold: {pool: sas1, upper: 0.2%, lower: 0.1%, check_every: 1s, hold_down: 10m}
select: {from: {space: projects}, rules: [{name: media, match: {type: [mov]}}]}
run: {workflow: migrate, batch: {files: 5}}
"""


@pytest.mark.long
def test_a_pool_above_its_mark_is_drained_and_shown(machine: Machine) -> None:
    machine.policies.mkdir(parents=True, exist_ok=True)
    machine.up()
    (machine.policies / "drain.yaml").write_text(POLICY)
    machine.fill(30, size=1 << 20)
    applied = machine.run("apply", "--yes")
    assert applied.returncode == 0, applied.stderr

    def sas1() -> dict[str, object]:
        found = [one for one in machine.json("pools") if one["pool"] == "sas1"]
        return found[0] if found else {}

    assert eventually(lambda: sas1().get("state") == "holding", within=40)
    shown = sas1()
    assert shown["acts_next"] == "drain-sas1"
    assert float(str(shown["percent"])) <= 0.1 * 1.3  # the newest sample may be of the minute before the drain's end
    curve = machine.run("pools", "history", "sas1")
    assert " upper" in curve.stdout and " lower" in curve.stdout
    unknown = machine.run("pools", "history", "nope")
    assert (unknown.returncode, unknown.stderr.strip()) == (2, "no pool nope was measured yet")
