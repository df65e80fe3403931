"""A record that fits a file by inode, size and time, and not by its bytes, costs nobody the only copy of anything."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.localhub_fixtures import Rig, digests, is_stub

SIZE = 5000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


def rewritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def another_with_its_inode(path: Path, content: bytes) -> None:
    """Delete the file, and make files until one gets its inode number."""
    wanted, others = path.stat().st_ino, []
    path.unlink()
    for number in range(3000):
        other = path.with_name(f"other{number}")
        other.write_bytes(content)
        if other.stat().st_ino == wanted:
            other.rename(path)
            break
        others.append(other)
    for other in others:
        other.unlink()
    if not path.exists():
        pytest.skip("this file system gives no inode number twice")


def as_before(path: Path, change: Callable[[Path, bytes], None], content: bytes) -> None:
    """Put other bytes in a file's place, so that its inode, size and time say nothing of it."""
    before = path.stat()
    change(path, content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("change", [rewritten, another_with_its_inode])
@pytest.mark.parametrize("before", ["premigrate", "migrate"])
@pytest.mark.parametrize("after", ["premigrate", "migrate"])
def test_other_bytes_under_a_known_inode_size_and_time_are_copied_anew(
    hub: Rig, change: Callable[[Path, bytes], None], before: str, after: str
) -> None:
    folder = f"{change.__name__}-{before}-{after}"
    (path,) = hub.fill(1, folder=folder)
    name = hub.virtual(path)
    hub.run(before, [name])
    content = os.urandom(SIZE)
    as_before(path, change, content)
    assert hub.outcomes(hub.run(after, [name])["id"]) == {name: ("processed", "")}
    assert (hub.target / "projects" / folder / "f0000.mov").read_bytes() == content
    assert is_stub(path, SIZE) == (after == "migrate")
    hub.run("recall", [name])
    assert path.read_bytes() == content


@pytest.mark.parametrize("change", [rewritten, another_with_its_inode])
@pytest.mark.parametrize("size", [1, 100, SIZE, 100_000])
def test_a_file_with_blocks_is_not_listed_as_migrated(
    hub: Rig, change: Callable[[Path, bytes], None], size: int
) -> None:
    (path,) = hub.fill(1, folder=f"listed-{change.__name__}-{size}", size=size)
    name = hub.virtual(path)
    hub.run("migrate", [name])
    assert hub.status(name) == "migrated"
    as_before(path, change, os.urandom(size))
    # The mark of a stub outlives its bytes, and may need a block of its own: a small file is looked at when tiered.
    marked_and_small = change is rewritten and size <= 4096
    assert hub.status(name) == ("migrated" if marked_and_small else "resident")


def test_a_note_in_a_stub_whose_time_was_set_back_is_kept_and_so_is_the_copy(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="note", size=200_000)
    original, name = path.read_bytes(), hub.virtual(path)
    hub.run("migrate", [name])

    def written_into(path: Path, content: bytes) -> None:
        with path.open("r+b") as file:
            file.write(content)

    as_before(path, written_into, b"a note")
    for workflow in ("migrate", "premigrate", "recall"):
        assert hub.outcomes(hub.run(workflow, [name])["id"]) == {name: ("failed", "changed_stub")}
    assert path.read_bytes().startswith(b"a note")
    assert (hub.target / "projects/note/f0000.mov").read_bytes() == original


def test_an_empty_space_with_the_inode_of_a_deleted_stub_is_not_filled_with_its_bytes(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="hollow")
    name = hub.virtual(path)
    hub.run("migrate", [name])
    seen = path.stat()
    another_with_its_inode(path, b"")
    os.truncate(path, SIZE)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert hub.outcomes(hub.run("recall", [name])["id"]) == {name: ("failed", "unknown_stub")}
    assert path.read_bytes() == bytes(SIZE)


def test_a_copied_file_that_was_only_renamed_or_got_new_rights_is_freed_without_a_second_copy(hub: Rig) -> None:
    (path,) = hub.fill(1, folder="renamed")
    before = digests([path])[path]
    hub.run("premigrate", [hub.virtual(path)])
    copy = hub.target / "projects/renamed/f0000.mov"
    first = copy.stat().st_ino
    path.chmod(0o600)
    other = path.rename(path.with_name("other.mov"))
    hub.run("migrate", [hub.virtual(other)])
    assert is_stub(other, SIZE)
    assert copy.stat().st_ino == first
    hub.run("recall", [hub.virtual(other)])
    assert digests([other])[other] == before
