"""A list of files is read as its name says; one that cannot be read is named with the place where it was looked for."""

import asyncio
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.hub.namespace import FileRecord
from activities.lists import BadList, listed_in
from orchestrator.cli.endings import Ending, told
from workflows.selecting import Source

WHEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
MICROS = round(WHEN.timestamp() * 1_000_000)


async def read(file: Path | str) -> list[FileRecord]:
    return [record async for page in listed_in(str(file)) for record in page]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "path,size,modified,status\n/p/a,5,2026-05-01T10:00:00Z,migrated\n"),
        ("a.csv", f"path,size,mtime,status\n/p/a,5,{MICROS // 1_000_000},migrated\n"),
        ("a.jsonl", '{"path": "/p/a", "size": 5, "modified": "2026-05-01T10:00:00Z", "status": "migrated"}\n'),
    ],
)
async def test_what_a_list_says_of_a_file_is_known(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert await read(tmp_path / name) == [FileRecord("/p/a", size=5, mtime=MICROS, status="migrated")]


@pytest.mark.parametrize("modified", [MICROS, WHEN])
async def test_times_in_parquet_are_microseconds_or_timestamps(tmp_path: Path, modified: int | datetime) -> None:
    pq.write_table(pa.table({"path": ["/p/a"], "modified": [modified]}), tmp_path / "a.parquet")
    assert await read(tmp_path / "a.parquet") == [FileRecord("/p/a", mtime=MICROS)]


async def test_a_list_that_is_not_there_is_said_with_the_place_of_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("no.txt", "no.csv", "no.parquet"):
        with pytest.raises(BadList) as caught:
            await read(name)
        ending, text = told(caught.value)
        assert ending is Ending.BAD_INPUT
        assert text.startswith(f"the list {name} (looked up as {tmp_path}/{name}): cannot be read: ")


async def test_a_list_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    for name in ("a.parquet", "a.jsonl"):
        (tmp_path / name).write_text("not that")
        with pytest.raises(BadList, match=f"the list {tmp_path}/{name}: "):
            await read(tmp_path / name)


FOUND = [FileRecord("/p/a b"), FileRecord("/p/\udcff")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list", b"/p/a b\n/p/\xff\n"),
        ("list.txt", b"\xef\xbb\xbf/p/a b\r\n/p/\xff\r\n\r\n"),
        ("files0", b"/p/a b\0/p/\xff\0"),
        ("gpfs.list", b"123 4 0 -- /p/a b\n  99 65538 0  -- /p/\xff\n"),
        ("gpfs.list", b"123 4 0 SIZE 12 -- x -- /p/a b\n99 65538 0 -1 -- /p/\xff"),
        ("noending", b'"/p/a b"\n{"path": "/p/\xff"}\n'),
        ("list.csv", b'\xef\xbb\xbfPath , size\r\n"/p/a b",\r\n/p/\xff,\r\n'),
    ],
)
async def test_the_format_of_a_list_is_told_by_its_ending_or_its_beginning(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert await read(tmp_path / name) == FOUND


async def test_a_parquet_file_needs_no_ending(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": pa.array([b"/p/a b", b"/p/\xff"])}), tmp_path / "list")
    assert await read(tmp_path / "list") == FOUND


@pytest.mark.parametrize(
    ("path", "escaped", "plain"),
    [
        (b"/p/100%25/a%20b%0Ac%5C%FF", "/p/100%/a b\nc\\\udcff", "/p/100%25/a%20b%0Ac%5C%FF"),
        (b"/p/100%", None, "/p/100%"),
        (rb"/p/a\nb\\c", r"/p/a\nb\\c", "/p/a\nb\\c"),
        (rb"/p/a\tb", r"/p/a\tb", None),
        (b"/p/a -- /p/b", "/p/a -- /p/b", "/p/a -- /p/b"),
        (b"/p/%2e%2E/b", None, "/p/%2e%2E/b"),
        (b"/p/a%00b", None, "/p/a%00b"),
    ],
)
async def test_the_escapes_of_a_gpfs_list_are_undone(
    tmp_path: Path, path: bytes, escaped: str | None, plain: str | None
) -> None:
    file = tmp_path / "gpfs.list"
    file.write_bytes(b"1 2 0 -- " + path + b"\n")
    for format, wanted in (("gpfs-escape", escaped), ("gpfs", plain)):
        if wanted is not None:
            assert [one.path for one in await read_as(file, format)] == [wanted]
        else:
            with pytest.raises(BadList, match="line 1 holds"):
                await read_as(file, format)


@given(
    st.lists(
        st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"\0", b"").replace(b"/", b"_")), max_size=5
    )
)
@settings(max_examples=150, deadline=None)
def test_any_name_survives_every_format_that_can_hold_it(names: list[bytes]) -> None:
    paths = [b"/p/" + name + b"x" for name in names]
    exact = [path.decode("utf-8", "surrogateescape") for path in paths]
    percent = [b"1 2 0 -- " + quote(path).encode() for path in paths]
    plain = [b"1 2 0 -- " + path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n") for path in paths]
    quoted = [b'"' + path.replace(b'"', b'""') + b'"' for path in paths]
    for format, content in (
        ("nul", b"\0".join(paths)),
        ("gpfs-escape", b"\n".join(percent)),
        ("gpfs", b"\n".join(plain)),
        ("csv", b"\n".join([b"path", *quoted])),
        ("jsonl", "\n".join(map(json.dumps, exact)).encode()),
    ):
        with TemporaryDirectory() as folder:
            file = Path(folder) / "list"
            file.write_bytes(content)
            assert [one.path for one in asyncio.run(read_as(file, format))] == exact


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a", b"/p/a\nrelative\n/p/c\n", "line 2 is not a path that starts with `/`"),
        ("a", b"/p/a\n\n/p/c\n", "line 2 is empty"),
        ("a", b"/p/a\n/p/b\r\n", "line 2 ends with CR"),
        ("a", b"/p/a\n/p/../b\n", "line 2 holds an empty, `.` or `..` part"),
        ("a", b"/p/a\n/p//b\n", "line 2 holds an empty"),
        ("a", b"/p/a\n/p/b/\n", "line 2 holds an empty"),
        ("a", b"/p/a\n/" + b"x" * 3_000_000 + b"\n/p/c\n", "line 2 is longer than any path"),
        ("a", b"/p/a\n/p/c\n/" + b"x" * 3_000_000, "line 3 is longer than any path"),
        ("a", b"/p/a\n" * 20_000 + b"/p/b\0/p/c\n", "line 20001 holds a NUL byte"),
        ("a", b"/p/a\0b\0", "entry 2 is not a path"),
        ("a", b"1 2 0 -- /p/a\n1 2 -- /p/b\n", "line 2 is no line of a GPFS file list"),
        ("a", b"1 2 0 -- /p/a\n1 2 0 x -- /p/b -- /p/c\n", "line 2 holds ` -- /` twice"),
        ("a", b"1 2 0 -- /p/a%20b\n", "write `format: gpfs-escape`"),
        ("a", b"1 2 0 -- /p/a\n" * 9_000 + b"1 2 0 -- /p/a%20b\n", "line 9001 is of a GPFS file list, and `%XX`"),
        ("a", b"path,size\n/p/a,1\n", "write `format: csv`"),
        ("a", b"hello\n", "write `format:` beside `manifest`, one of lines, nul, gpfs, gpfs-escape, csv, jsonl"),
        ("a.csv", b"path,size\n/p/a,1\n/p/b,1,2\n", "line 3 has 3 columns, and the header 2"),
        ("a.csv", b'path,size\n"/p/a\nb",1\n/p/b\n', "line 4 has 1 columns"),
        ("a.csv", b"path,size\n/p/a,big\n", "line 2 has size big, which is no number of bytes"),
        ("a.csv", b"path,mtime\n/p/a,yesterday\n", "line 2 has mtime yesterday, which is no time"),
        ("a.csv", b"name,size\n/p/a,1\n", "line 1 has no column `path`, only name, size"),
        ("a.csv", b"path,size,Size\n/p/a,1,1\n", "line 1 names the column size twice"),
        ("a.csv", b'path\n"/p/a\n', "is not what its name or `format` says"),
        ("a.csv", b"path,size\n,1\n", "line 2 has no `path`"),
        ("a.jsonl", b'{"path": "/p/a"}\n{"path": 3}\n[1]\n{\n', "3 entries cannot be read"),
        ("a.jsonl", b'{"path": "/p/a", "metadata": "{"}\n', "line 1 is not JSON"),
    ],
)
async def test_what_is_wrong_in_a_list_is_said_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadList) as caught:
        await read(tmp_path / name)
    text = told(caught.value)[1]
    assert said in text
    assert text.startswith(f"the list {tmp_path / name}: ")
    assert len(text) < 3000


async def test_every_bad_entry_is_counted_and_ten_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"/p/a\n" + b"bad\n" * 500)
    with pytest.raises(BadList) as caught:
        await read(tmp_path / "a")
    text = told(caught.value)[1]
    assert "500 entries cannot be read, so nothing of it is taken" in text
    assert text.count("is not a path") == 10
    assert "and 490 more" in text


def test_a_format_belongs_to_a_manifest() -> None:
    assert Source.model_validate({"manifest": "a", "format": "gpfs"}).format == "gpfs"
    with pytest.raises(ValueError, match="`format` says what a `manifest` is"):
        Source.model_validate({"space": "projects", "format": "gpfs"})


async def test_a_list_is_read_without_holding_it(tmp_path: Path) -> None:
    file = tmp_path / "many"
    with file.open("wb") as content:
        for block in range(30):
            content.writelines(b"/mmfs1/projects/folder/%d/file-%d.mov\n" % (block, one) for one in range(10_000))
    count = 0
    tracemalloc.start()
    async for page in listed_in(str(file)):
        count += len(page)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300_000
    assert peak < 12 * 2**20


async def read_as(file: Path, format: str) -> list[FileRecord]:
    return [record async for page in listed_in(str(file), format) for record in page]
