"""Whenever the local Hub is killed, no byte is lost and no path is processed twice."""

import os
import random
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.localhub_fixtures import Rig, digests

MANY = 130


def crash_at(point: str, after: int = 0) -> dict[str, object]:
    return {"action": {"kind": "crash", "point": point}, "schedule": {"after": after, "limit": 1}}


def submit_and_crash(hub: Rig, workflow: str, files: list[Path]) -> int | None:
    """Send a workflow that kills the Hub; no job is known when it died before its answer was out."""
    job = None
    with suppress(httpx.RemoteProtocolError, httpx.ReadError):
        job = hub.submit(workflow, [hub.virtual(path) for path in files])
    assert hub.wait_for_end() == -9
    return job


def finish(hub: Rig, job: int | None) -> None:
    """Start again after a crash, without the fault that caused it, and let the job end; the newest if none is known."""
    database = hub.folder / "state" / "hub.sqlite"
    assert database.exists()
    no_faults = hub.folder / "none.json"
    no_faults.write_text('{"rules": []}')
    hub.arguments = ["--faults", str(no_faults)]
    hub.start()
    job = max(one["id"] for one in hub.get("/jobs/", page_size=0)["results"]) if job is None else job
    found = hub.wait(job)
    assert found["state"] == "SUCCESS", hub.outcomes(job)


def check(hub: Rig, files: list[Path], before: dict[Path, str]) -> None:
    """Bring every file back and compare it with what it was."""
    hub.run("recall", ["/mmfs1/projects/a"])
    assert digests(files) == before


@pytest.mark.parametrize(
    ("point", "after"),
    [("copied", 1), ("published", 0), ("declared", 1), ("acted", 3), ("acted", 70), ("done", 0), ("recorded", 0)],
)
def test_a_crash_in_a_migration_loses_nothing(tmp_path: Path, point: str, after: int) -> None:
    hub = Rig(tmp_path, "--threads", "2")
    with hub:
        files = hub.fill(MANY)
        before = digests(files)
        hub.faults(crash_at(point, after))
        job = submit_and_crash(hub, "migrate", files)
        finish(hub, job)
        assert set(hub.processed("migrate").values()) == {1}
        assert len(hub.processed("migrate")) == MANY
        assert {hub.status(hub.virtual(path)) for path in files[:3]} == {"migrated"}
        assert not any((hub.target / ".partial").iterdir())
        check(hub, files, before)


@pytest.mark.parametrize(("point", "after"), [("declared", 0), ("acted", 10), ("done", 1)])
def test_a_crash_in_a_recall_loses_nothing(tmp_path: Path, point: str, after: int) -> None:
    hub = Rig(tmp_path, "--threads", "2")
    with hub:
        files = hub.fill(MANY)
        before, times = digests(files), {path: path.stat().st_mtime_ns for path in files}
        hub.run("migrate", ["/mmfs1/projects/a"])
        hub.faults(crash_at(point, after))
        job = submit_and_crash(hub, "recall", files)
        finish(hub, job)
        assert hub.processed("recall") == {hub.virtual(path): 1 for path in files}
        assert digests(files) == before
        assert {path: path.stat().st_mtime_ns for path in files} == times


@pytest.mark.parametrize("point", ["declared", "acted", "done"])
def test_a_crash_in_a_deletion_finishes_what_was_begun(tmp_path: Path, point: str) -> None:
    hub = Rig(tmp_path, "--threads", "2")
    with hub:
        files = hub.fill(40)
        hub.run("migrate", [hub.virtual(path) for path in files[:20]])
        hub.faults(crash_at(point))
        job = submit_and_crash(hub, "delete", files)
        finish(hub, job)
        assert not any(path.exists() for path in files)
        assert list((hub.target / "projects/a").iterdir()) == []
        assert hub.processed("delete") == {hub.virtual(path): 1 for path in files}


def test_a_half_written_recall_is_a_stub_again_after_the_crash(tmp_path: Path) -> None:
    hub = Rig(tmp_path, "--bytes-per-second", "4MiB")
    with hub:
        (path,) = hub.fill(1, size=6 << 20)
        before = digests([path])
        hub.run("migrate", [hub.virtual(path)])
        job = hub.submit("recall", [hub.virtual(path)])
        until = time.monotonic() + 10
        while path.stat().st_blocks == 0 and time.monotonic() < until:
            time.sleep(0.01)
        hub.kill()
        assert 0 < path.stat().st_blocks * 512 < path.stat().st_size
        hub.arguments = []
        finish(hub, job)
        assert digests([path]) == before
        assert hub.processed("recall") == {hub.virtual(path): 1}


def test_kills_at_random_moments_lose_nothing_and_process_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("PYTEST_SEED", "17"))
    hub = Rig(tmp_path, "--threads", "3")
    with hub:
        files = hub.fill(600, size=2000)
        before = digests(files)
        names = [hub.virtual(path) for path in files]
        jobs = [hub.submit("migrate", names[start : start + 100]) for start in range(0, 600, 100)]
        for _ in range(5):
            time.sleep(chance.uniform(0.0, 0.25))
            hub.kill()
            hub.start()
        for job in jobs:
            assert hub.wait(job)["state"] == "SUCCESS"
        assert hub.processed("migrate") == dict.fromkeys(names, 1)
        back = hub.submit("recall", ["/mmfs1/projects/a"])
        for _ in range(3):
            time.sleep(chance.uniform(0.0, 0.2))
            hub.kill()
            hub.start()
        assert hub.wait(back)["state"] == "SUCCESS"
        assert hub.processed("recall") == dict.fromkeys(names, 1)
        assert digests(files) == before


def test_a_job_that_was_taken_survives_a_kill_at_once(tmp_path: Path) -> None:
    hub = Rig(tmp_path)
    with hub:
        files = hub.fill(3)
        job = hub.submit("premigrate", [hub.virtual(path) for path in files])
        hub.kill()
        hub.start()
        assert hub.wait(job)["counts"]["processed"] == 3
