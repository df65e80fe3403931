"""Names that hurt and files that fail: each ends in one outcome, under its exact name."""

import asyncio
import os
import random
import time

import pytest
from temporalio.client import Client

from activities.outcomes import read_outcomes
from activities.storage import open_storage
from orchestrator.runs import run_report, start_run
from orchestrator.settings import Settings
from tests.local_hub import LocalHub
from tests.temporal.policies import a_policy
from workflows.names import to_path
from workflows.policy import Policy
from workflows.run import RunReport, RunState

MOUNT = b"/mmfs1/projects"


async def report_of(client: Client, settings: Settings, policy: Policy) -> RunReport:
    run = await start_run(client, settings, policy, actor="ann", reason="a test")
    async with asyncio.timeout(150):
        return await run_report(client, run)


def outcomes_of(settings: Settings, run: str) -> dict[bytes, tuple[str, str | None, str]]:
    found, after = {}, -1
    storage = open_storage(settings.storage)
    while rows := read_outcomes(storage, run, after=after, limit=1000):
        for row in rows:
            found[os.fsencode(to_path(row.path))] = (row.outcome, row.reason, row.message)
        after = rows[-1].ordinal
    return found


def hard_names(count: int, seed: int = 7) -> list[bytes]:
    """Not UTF-8, newlines, quotes, control characters, percent signs, the longest name; all end in .mov."""
    dice = random.Random(seed)
    names = {b"\xff\xfe.mov", b"new\nline.mov", b"\"quoted\" 'name'.mov", b"tab\tand\x01bell\x07.mov", b"%41%FF.mov"}
    names |= {"\U0010f8ff\U0010fdff.mov".encode(), "é".encode("latin-1") + b".mov", b"n" * 251 + b".mov", b" .mov"}
    names |= {b"\xed\xa0\x80.mov", b"-rf *.mov", b"a\\b.mov", b"{x}[y]?*.mov", "日本語\u202egpj.mov".encode()}
    bad = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    while len(names) < count:
        names.add(bytes(dice.choice(bad) for _ in range(dice.randrange(1, 60))) + b".mov")
    return sorted(names)


def fill(hub: LocalHub, names: list[bytes]) -> dict[bytes, bytes]:
    """Write a file for each name, a few of them so deep that the path comes near its limit."""
    made = {}
    root, deep = os.fsencode(hub.projects), b"d" * 200
    old = time.time() - 365 * 86400
    for number, name in enumerate(names):
        room = 4090 - len(root) - len(name)
        folder = b"/".join([b"", *([deep] * (room // 201))]) if number % 100 == 0 else b"/flat"
        os.makedirs(root + folder, exist_ok=True)  # noqa: PTH103
        path = folder + b"/" + name
        content = b"content of file %d" % number
        with open(root + path, "wb") as file:  # noqa: PTH123 - pathlib takes no bytes
            file.write(content)
        os.utime(root + path, (old, old))
        made[MOUNT + path] = content
    return made


@pytest.mark.usefixtures("worker")
async def test_a_thousand_names_that_hurt_each_end_under_their_exact_name(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    made = fill(hub, hard_names(1000))

    report = await report_of(client, settings, a_policy(files=100))

    assert (report.state, report.outcomes.done) == (RunState.SUCCEEDED, 1000)
    assert outcomes_of(settings, report.run) == dict.fromkeys(made, ("done", None, ""))
    copies = sorted(path.read_bytes() for path in hub.target.rglob("*") if path.is_file() and path.stat().st_size < 100)
    assert set(made.values()) <= set(copies)
    back = await report_of(client, settings, a_policy(workflow="recall", files=100))
    assert (back.state, back.outcomes.done) == (RunState.SUCCEEDED, 1000)
    for path, content in made.items():
        real = os.fsencode(hub.projects) + path.removeprefix(MOUNT)
        with open(real, "rb") as file:  # noqa: ASYNC230, PTH123 - pathlib takes no bytes
            assert file.read() == content


@pytest.mark.usefixtures("worker")
async def test_what_fails_twice_ends_done_and_what_fails_for_ever_ends_failed_with_the_hubs_message(
    client: Client, settings: Settings, hub: LocalHub
) -> None:
    hub.fill(1000)
    fails = {"kind": "path_fail", "code": "target_error"}
    hub.faults(
        {"name": "ever", "match": {"percent": 1}, "action": {**fails, "message": "the bucket is gone"}},
        {"name": "twice", "match": {"percent": 5}, "action": {**fails, "message": "not now", "times": 2}},
    )
    report = await report_of(
        client, settings, a_policy(files=50, retry="{failed_files: {attempts: 4, wait: [1s]}}", run=", recheck: none")
    )
    ended = outcomes_of(settings, report.run)
    failed = {path: end for path, end in ended.items() if end[0] != "done"}
    assert 1 <= len(failed) <= 30
    assert set(failed.values()) == {("failed", "target_error", "the bucket is gone")}
    assert report.outcomes.failed == {"target_error": len(failed)}
    assert report.outcomes.total == len(ended) == 1000
    assert report.rounds[1].files > 30
    assert [record.files for record in report.rounds[2:]][-1] == len(failed)
