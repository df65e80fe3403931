"""Migrate, premigrate, recall and delete over real files."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.localhub.child import LocalHubFailed
from tests.e2e.localhub_fixtures import Rig, digests, is_stub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


def test_a_migrated_file_is_a_stub_that_shows_its_size_and_times_and_its_copy_is_equal(hub: Rig) -> None:
    files = hub.fill(20, folder="migrate")
    before, times = digests(files), {path: path.stat() for path in files}
    job = hub.run("migrate", [hub.virtual(path) for path in files])
    assert job["state"] == "SUCCESS"
    assert job["counts"]["processed"] == 20
    for number, path in enumerate(files):
        assert is_stub(path, 5000 + number)
        assert path.stat().st_mtime_ns == times[path].st_mtime_ns
        assert path.stat().st_atime_ns == times[path].st_atime_ns
        assert hub.status(hub.virtual(path)) == "migrated"
        copy = hub.target / path.relative_to(hub.filesystem)
        assert digests([copy])[copy] == before[path]


def test_a_recalled_file_has_its_bytes_and_times_again_and_keeps_its_inode(hub: Rig) -> None:
    files = hub.fill(5, folder="recall")
    before, seen = digests(files), {path: path.stat() for path in files}
    hub.run("migrate", ["/mmfs1/projects/recall"])
    assert hub.run("recall", ["/mmfs1/projects/recall"])["counts"]["processed"] == 5
    for path in files:
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (seen[path].st_ino, seen[path].st_mtime_ns)
        assert hub.status(hub.virtual(path)) == "premigrated"
    assert digests(files) == before


def test_a_premigrated_file_keeps_its_blocks_and_migrating_it_then_copies_nothing_anew(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="pre")
    assert hub.run("premigrate", [hub.virtual(path)])["state"] == "SUCCESS"
    copy = hub.target / "projects/pre/f0000.mov"
    first = copy.stat().st_ino
    assert path.stat().st_blocks > 0
    assert hub.run("migrate", [hub.virtual(path)])["state"] == "SUCCESS"
    assert is_stub(path, 5000)
    assert copy.stat().st_ino == first


def test_a_file_changed_after_premigration_is_copied_anew(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="changed")
    hub.run("premigrate", [hub.virtual(path)])
    path.write_bytes(b"another content of another length")
    assert hub.status(hub.virtual(path)) == "resident"
    hub.run("migrate", [hub.virtual(path)])
    assert (hub.target / "projects/changed/f0000.mov").read_bytes() == b"another content of another length"


def test_a_second_migration_skips_and_a_copy_that_went_bad_is_made_again(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="again")
    before, name = digests([path]), hub.virtual(path)
    hub.run("premigrate", [name])
    (hub.target / "projects/again/f0000.mov").write_bytes(b"rotten" * 900)
    job = hub.run("migrate", [name])
    assert hub.outcomes(job["id"]) == {name: ("processed", "")}
    job = hub.run("migrate", [name])
    assert job["state"] == "SKIPPED"
    assert hub.outcomes(job["id"]) == {name: ("skipped", "already_migrated")}
    hub.run("recall", [name])
    assert digests([path]) == before


def test_a_copy_that_went_bad_is_never_recalled(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="rotten")
    hub.run("migrate", [hub.virtual(path)])
    copy = hub.target / "projects/rotten/f0000.mov"
    good = copy.read_bytes()
    copy.write_bytes(b"x" + good[1:])
    job = hub.run("recall", [hub.virtual(path)])
    assert hub.outcomes(job["id"]) == {hub.virtual(path): ("failed", "checksum")}
    assert is_stub(path, 5000)
    copy.write_bytes(good)
    hub.run("recall", [hub.virtual(path)])
    assert path.read_bytes() == good


def test_writing_into_a_stub_never_lets_its_zeros_over_the_copy(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="zeros", size=200_000)
    original = path.read_bytes()
    hub.run("migrate", [hub.virtual(path)])
    with path.open("r+b") as file:
        file.write(b"a note")
    job = hub.run("migrate", [hub.virtual(path)])
    assert hub.outcomes(job["id"]) == {hub.virtual(path): ("failed", "changed_stub")}
    assert (hub.target / "projects/zeros/f0000.mov").read_bytes() == original


def test_touching_or_renaming_a_stub_loses_nothing(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="moved")
    before = digests([path])[path]
    hub.run("migrate", [hub.virtual(path)])
    os.utime(path)
    other = path.with_name("elsewhere.mov")
    path.rename(other)
    path.write_bytes(b"a new file under the old name")
    assert hub.status(hub.virtual(other)) == "migrated"
    hub.run("migrate", [hub.virtual(path)])
    assert hub.run("recall", [hub.virtual(other), hub.virtual(path)])["counts"]["processed"] == 2
    assert digests([other])[other] == before
    assert path.read_bytes() == b"a new file under the old name"


def test_a_stub_that_was_wholly_rewritten_is_an_ordinary_file_again(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="rewritten")
    hub.run("migrate", [hub.virtual(path)])
    path.write_bytes(b"all new" * 1000)
    assert hub.run("migrate", [hub.virtual(path)])["state"] == "SUCCESS"
    assert (hub.target / "projects/rewritten/f0000.mov").read_bytes() == b"all new" * 1000


def test_a_file_that_is_open_elsewhere_is_skipped_as_busy(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="open")
    with path.open("rb"):
        job = hub.run("migrate", [hub.virtual(path)])
        assert hub.outcomes(job["id"]) == {hub.virtual(path): ("skipped", "busy")}
        assert path.stat().st_blocks > 0
    assert hub.run("migrate", [hub.virtual(path)])["state"] == "SUCCESS"


def test_hard_links_are_one_file(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="links")
    before, link = digests([path])[path], path.with_name("link.mov")
    link.hardlink_to(path)
    hub.run("migrate", [hub.virtual(path)])
    assert hub.status(hub.virtual(link)) == "migrated"
    assert hub.run("delete", [hub.virtual(path)])["state"] == "SUCCESS"
    hub.run("recall", [hub.virtual(link)])
    assert digests([link])[link] == before


def test_delete_removes_the_file_and_its_copy(hub: Rig) -> None:
    files = hub.fill(3, folder="delete")
    hub.run("migrate", [hub.virtual(files[0])])
    assert hub.run("delete", ["/mmfs1/projects/delete"])["counts"]["processed"] == 3
    assert not any(path.exists() for path in files)
    assert not (hub.target / "projects/delete/f0000.mov").exists()


def test_a_path_that_cannot_be_tiered_says_why(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="odd")
    (path.parent / "link").symlink_to("/etc")
    os.mkfifo(path.parent / "pipe")
    outside = ["/mmfs1/projects/odd/link/passwd", "/mmfs1/projects/odd/../../etc/passwd", "/etc/passwd"]
    missing = ["/mmfs1/projects/odd/none", "/mmfs1/projects/odd/f0000.mov/below", "/mmfs1/" + "x" * 300]
    special = ["/mmfs1/projects/odd/pipe", "/mmfs1/projects/odd/link"]
    job = hub.run("migrate", [*outside, *missing, *special])
    found = hub.outcomes(job["id"])
    assert found[outside[0]] in {("failed", "not_a_file"), ("failed", "no_such_file")}
    assert [found[name] for name in outside[1:] + missing] == [("failed", "no_such_file")] * 5
    assert [found[name] for name in special] == [("skipped", "not_a_file")] * 2
    assert job["state"] == "PARTIAL"
    assert Path("/etc/passwd").stat().st_blocks > 0


def test_a_missing_file_is_aborted_when_the_job_says_so(hub: Rig) -> None:
    job = hub.run("migrate", ["/mmfs1/projects/nowhere"], fields={"abort_missing": True})
    assert hub.outcomes(job["id"]) == {"/mmfs1/projects/nowhere": ("aborted", "no_such_file")}


def test_pools_count_allocated_blocks_and_refuse_what_does_not_fit(tmp_path: Path) -> None:
    with Rig(tmp_path, "--capacity", "1MiB", "--target-capacity", "200KiB", "--low-space-mark", "50") as hub:
        files = hub.fill(8, size=100_000)
        hub.call("POST", "/_local/recount")
        primary, nearline = hub.get("/storagepools/")["results"]
        allocated = sum(path.stat().st_blocks * 512 for path in files)
        assert (primary["used_space"], nearline["used_space"]) == (allocated, 0)
        assert [alert["name"] for alert in hub.get("/alerts/")] == ["lowDiskSpace"]
        job = hub.run("migrate", ["/mmfs1/projects/a"])
        codes = [code for _, code in hub.outcomes(job["id"]).values()]
        assert 1 <= codes.count("") <= 2
        assert set(codes) == {"", "no_space"}
        hub.run("delete", ["/mmfs1/projects/a"])
        hub.call("POST", "/_local/recount")
        assert hub.get("/storagepools/1/")["used_space"] == 0
        assert hub.get("/alerts/") == []


def test_a_target_that_cannot_be_written_fails_the_path_and_not_the_hub(tmp_path: Path) -> None:
    with Rig(tmp_path) as hub:
        (path,) = hub.fill(1)
        before = digests([path])
        (hub.target / "projects").write_bytes(b"a file where a folder is needed")
        job = hub.run("migrate", [hub.virtual(path)])
        assert job["state"] == "SUCCESS"
        assert hub.get("/file/", path=hub.virtual(path))["remote_locations"]["nearline"].startswith(".copies/")
        hub.run("recall", [hub.virtual(path)])
        assert digests([path]) == before


def test_secrets_at_rest_are_hashed_and_their_files_private(hub: Rig) -> None:
    state = hub.folder / "state"
    for name in ("admin.key", "admin.password", "token.secret"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    database = sqlite3.connect(state / "hub.sqlite")
    dump = "\n".join(database.iterdump())
    database.close()
    assert hub.key not in dump
    assert hub.password not in dump
    assert hub.key not in (hub.folder / "hub.log").read_text()


def test_it_ends_cleanly_and_goes_on_with_what_it_knew(tmp_path: Path) -> None:
    hub = Rig(tmp_path)
    hub.start()
    (path,) = hub.fill(1)
    hub.run("migrate", [hub.virtual(path)])
    began = time.monotonic()
    assert hub.stop() == 0
    assert time.monotonic() - began < 5
    assert not (tmp_path / "ready.json").exists()
    with hub:
        assert hub.status(hub.virtual(path)) == "migrated"
        assert hub.processed("migrate") == {hub.virtual(path): 1}


def test_a_second_hub_on_the_same_state_and_rules_that_cannot_be_read_are_refused(hub: Rig, tmp_path: Path) -> None:
    with pytest.raises(LocalHubFailed, match="another local Hub works on"):
        Rig(hub.folder).start()
    assert hub.get("/sites/")["count"] == 1
    faults = tmp_path / "faults.json"
    faults.write_text('{"rules": [{"action": "explode"}]}')
    with pytest.raises(LocalHubFailed, match="the action's kind is one of"):
        Rig(tmp_path, "--faults", str(faults)).start()
