"""What the local Hub knows about names, trees and blocks."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.localhub import blocks
from orchestrator.localhub.bytestream import nothing_but
from orchestrator.localhub.claims import Claims
from orchestrator.localhub.clock import moment, parse_us
from orchestrator.localhub.config import parse_size
from orchestrator.localhub.names import BadPath, Mount, bytes_of, text_of
from orchestrator.localhub.tree import Tree

MOUNT = Mount(b"/mmfs1")


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_the_bytes_of_a_name_survive_the_way_through_json(raw: bytes) -> None:
    assert bytes_of(text_of(raw)) == raw


@given(st.lists(st.binary(min_size=1).filter(lambda part: b"/" not in part and part not in (b".", b".."))))
def test_a_path_below_the_mountpoint_comes_back_the_same(parts: list[bytes]) -> None:
    relative = b"/".join(parts)
    assert MOUNT.relative(MOUNT.virtual(relative)) == relative


@pytest.mark.parametrize("path", [b"", b"mmfs1/a", b"/", b"/mmfs", b"/mmfs12/a", b"/mmfs1/../etc", b"/etc/passwd"])
def test_a_path_outside_the_mountpoint_is_refused(path: bytes) -> None:
    with pytest.raises(BadPath):
        MOUNT.relative(path)


def test_slashes_that_say_nothing_are_left_out() -> None:
    assert MOUNT.relative(b"//mmfs1//a/./b/") == b"a/b"


@pytest.mark.parametrize(
    ("text", "size"), [("4096", 4096), ("10GiB", 10 << 30), ("1.5kB", 1500), (" 2 TiB ", 2 << 40), ("0", 0)]
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "10 gigabytes", "-1", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T04:04:05+01:00", "1767323045", "1767323045.0"]
)
def test_times_are_read_in_every_form_that_a_client_sends(text: str) -> None:
    assert moment(parse_us(text)).isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_tree_is_never_left_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    tree = Tree(tmp_path / "root")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "outside" / "secret")
    with tree.visit() as visit:
        for path in (b"link/secret", b"file"):
            with pytest.raises(OSError):
                visit.open(path, os.O_RDONLY)
        assert list(visit.files_below(b"")) == []


def test_folders_are_made_on_the_way_and_many_visits_leave_nothing_open(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "root")
    before = os.dup(0)
    os.close(before)
    with tree.visit() as visit:
        for number in range(120):
            visit.folder(b"a/%d/b" % number, make=True)
    assert (tmp_path / "root/a/119/b").is_dir()
    after = os.dup(0)
    os.close(after)
    assert after == before


def test_a_freed_file_is_hollow_and_keeps_its_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_001)
    descriptor = os.open(path, os.O_RDWR)
    assert not blocks.hollow(descriptor)
    assert not blocks.has_hole(descriptor, 300_001)
    blocks.free(descriptor, 300_001)
    assert blocks.hollow(descriptor)
    assert (path.stat().st_size, path.stat().st_blocks) == (300_001, 0)
    os.pwrite(descriptor, b"y", 200_000)
    assert not blocks.hollow(descriptor)
    assert blocks.has_hole(descriptor, 300_001)
    ((start, end),) = blocks.data_ranges(descriptor, 300_001)
    assert start <= 200_000 < end
    os.close(descriptor)


def test_half_filled_pages_belong_to_the_copy_and_other_bytes_do_not(tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    data = os.urandom(20_000)
    whole.write_bytes(data)
    one = os.open(whole, os.O_RDONLY)
    for content, fits in (
        (data, True),
        (data[:8192] + bytes(len(data) - 8192), True),
        (data[:9000] + bytes(len(data) - 9000), False),
        (bytes([data[0] ^ 1]) + data[1:], False),
    ):
        part.write_bytes(content)
        other = os.open(part, os.O_RDONLY)
        assert nothing_but(other, one, 0, len(data)) is fits
        os.close(other)
    os.close(one)


def test_a_file_is_claimed_once() -> None:
    claims, first, second = Claims(), set[int | bytes](), set[int | bytes]()
    assert claims.take([1, b"a"], first)
    assert claims.take([1], first)
    assert not claims.take([2, 1], second)
    assert claims.take([2], second)
    claims.release(first)
    assert claims.take([1, b"a"], second)
