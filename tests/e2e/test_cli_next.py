"""`next` previews a policy's starts without any service."""

from pathlib import Path

import pytest

from tests.machine import POLICY, Machine

LONDON = '  - schedule: {cron: "30 1 * * *", timezone: Europe/London, dst: {overlap: both}}'


def triggered(machine: Machine, *triggers: str, more: str = "") -> Path:
    file = machine.policies / "nightly.yaml"
    lines = "\n".join(["triggers:", *triggers]) + "\n" if triggers else ""
    file.write_text(POLICY.format(name="nightly", workflow="migrate", batch=10, concurrency=2) + lines + more)
    return file


def test_the_starts_are_shown_with_both_times_and_what_the_clocks_do(machine: Machine) -> None:
    triggered(machine, LONDON)
    ended = machine.run("next", "nightly", "--from", "2026-10-24T12:00:00Z", "--count", "3")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split("   ") for line in ended.stdout.splitlines()[2:]] == [
        ["Sun 2026-10-25 01:30 +01:00", "2026-10-25 00:30", "01:30 comes twice: the first"],
        ["Sun 2026-10-25 01:30 +00:00", "2026-10-25 01:30", "01:30 comes twice: the second"],
        ["Mon 2026-10-26 01:30 +00:00", "2026-10-26 01:30"],
    ]
    assert "local time, Europe/London" in ended.stdout


def test_scripts_get_utc_local_time_and_note(machine: Machine) -> None:
    triggered(machine, '  - schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}')
    assert machine.json("next", "nightly", "--from", "2026-03-29", "--count", "2") == [
        {
            "at": "2026-03-29T01:30:00Z",
            "local": "2026-03-29T03:30:00+02:00",
            "note": "02:30 does not exist on this day: shifted to 03:30",
        },
        {"at": "2026-03-30T00:30:00Z", "local": "2026-03-30T02:30:00+02:00", "note": None},
    ]


def test_several_schedules_are_one_list_that_says_which_starts(machine: Machine) -> None:
    triggered(machine, LONDON, '  - schedule: {cron: "30 1 * * *", timezone: Asia/Kathmandu, jitter: 5m}')
    ended = machine.run("next", "nightly", "--from", "2026-06-01", "--count", "3")
    assert [line.split() for line in ended.stdout.splitlines()[2:]] == [
        ["Mon", "2026-06-01", "01:30", "+01:00", "Europe/London", "2026-06-01", "00:30", "triggers[0]"],
        ["Tue", "2026-06-02", "01:30", "+05:45", "Asia/Kathmandu", "2026-06-01", "19:45", "triggers[1]"],
        ["Tue", "2026-06-02", "01:30", "+01:00", "Europe/London", "2026-06-02", "00:30", "triggers[0]"],
    ]
    assert "at most 5 min" in ended.stderr


def test_a_start_at_the_very_moment_is_among_them(machine: Machine) -> None:
    triggered(machine, LONDON)
    assert machine.json("next", "nightly", "--from", "2026-06-01T00:30Z", "--count", "1")[0]["at"] == (
        "2026-06-01T00:30:00Z"
    )


def test_without_a_time_the_starts_are_those_from_now_on(machine: Machine) -> None:
    triggered(machine, '  - schedule: {cron: "* * * * *", timezone: Europe/London}')
    found = machine.json("next", "nightly")
    assert len(found) == 10
    assert machine.json("next", "nightly", "--from", found[3]["at"], "--count", "7") == found[3:]


@pytest.mark.parametrize(
    ("triggers", "said"),
    [
        ((), "No schedule starts nightly; it has no triggers."),
        (("  - after: {policy: other}",), "No schedule starts nightly; its triggers are of another kind: after."),
        (('  - schedule: {cron: "@daily", end: 2020-01-01}',), "No schedule starts nightly from then on"),
    ],
)
def test_a_policy_that_no_schedule_starts_is_said_to_be_one(
    machine: Machine, triggers: tuple[str, ...], said: str
) -> None:
    triggered(machine, *triggers)
    ended = machine.run("next", "nightly")
    assert ended.returncode == 0
    assert said in ended.stdout
    assert machine.json("next", "nightly") == []


def test_a_policy_that_is_not_enabled_is_said_to_be_one(machine: Machine) -> None:
    triggered(machine, LONDON, more="enabled: false\n")
    assert "nightly is not enabled" in machine.run("next", "nightly").stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--from", "tomorrow", "--from tomorrow: expected a time such as"),
        ("--from", "0001-01-01", "expected a time between 2000 and 2199"),
        ("--from", "9999-12-31T23:59:59+00:00", "expected a time between 2000 and 2199"),
        ("--count", "0", "--count"),
    ],
)
def test_times_and_counts_that_cannot_be_are_refused(machine: Machine, option: str, value: str, said: str) -> None:
    triggered(machine, LONDON)
    ended = machine.run("next", "nightly", option, value)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
