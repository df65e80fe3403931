"""`events`: what came, what it started, acting on one again, sending one."""

from typing import Any

import pytest

from tests.machine import Machine, eventually

POLICY = """\
version: 1
name: drain
site: london
triggers:
  - event: {type: disk.full, where: {pool: sas1}, settle: 1s}
select: {from: {space: projects}, rules: [{name: media, match: {type: [mov]}}]}
run: {workflow: migrate, batch: {files: 5}}
"""


@pytest.mark.long
def test_an_event_that_nobody_wanted_starts_a_policy_when_it_is_replayed_after_one_was_applied(
    machine: Machine,
) -> None:
    machine.up()
    machine.fill(3)

    def shown(event: str) -> dict[str, Any]:
        ended = machine.run("events", "show", event, "--json")
        return machine.json("events", "show", event) if ended.returncode == 0 else {}

    assert machine.run("events", "list").stdout == "No such event yet.\n"
    sent = machine.run("events", "send", "disk.full", "--id", "e1", "--data", '{"pool": "sas1"}')
    assert sent.stdout == "Sent disk.full e1 of cli. `orchestrator events show e1` tells what it starts.\n"
    assert eventually(lambda: shown("e1") != {})
    assert "nothing: no policy wants it" in machine.run("events", "show", "e1").stdout
    assert [one["id"] for one in machine.json("events", "list", "--unmatched")] == ["e1"]

    (machine.policies / "drain.yaml").write_text(POLICY)
    assert machine.run("apply", "--yes").returncode == 0
    again = machine.json("events", "replay", "cli/e1", "--reason", "the policy is there now")
    assert again["attributes"]["replayof"] == "e1"
    assert again["attributes"]["replayreason"] == "the policy is there now"
    assert "@" in again["attributes"]["replayedby"]
    assert eventually(lambda: bool(shown(again["id"]).get("starts")), within=30)
    [start] = shown(again["id"])["starts"]
    assert (start["policy"], start["site"], start["state"]) == ("drain", "london", "begun")
    screen = machine.run("events", "show", again["id"]).stdout
    assert f"Started    {start['run']}" in screen
    assert "e1, by " in screen and ": the policy is there now" in screen
    assert shown("e1")["starts"] == [], "the old event started nothing"
    assert machine.run("events", "list", "--unmatched").stdout.count("disk.full") == 1
    [part] = shown(again["id"])["starts"]
    assert "with" not in part
    listed = machine.run("events", "list").stdout
    assert start["run"] in listed and "no policy wants it" in listed


def test_what_cannot_be_meant_is_refused_in_a_sentence(machine: Machine) -> None:
    def refused(*arguments: str) -> str:
        ended = machine.run("events", *arguments)
        assert ended.returncode == 2
        return ended.stderr.strip()

    assert refused("show", "nope") == "no event nope was received: `orchestrator events list` shows those that were"
    assert refused("replay", "nope") == "say why, for whoever reads the audit: --reason '...'"
    assert refused("send", "t", "--data", "{").startswith("--data is no JSON: Expecting property name")
    assert refused("send", "t", "--source", "hub/alerts").endswith("are this product's own: name another one.")
    assert refused("send", "t", "--data", f'"{"x" * 65_536}"') == "An event has at most 65536 bytes."
    assert refused("send", "t", "--url", "http://127.0.0.1:9/events").startswith(
        "ORCHESTRATOR_EVENT_SECRETS is not set"
    )
