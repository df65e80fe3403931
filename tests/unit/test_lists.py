"""A list of files is read as its name says; one that cannot be read is named with the place where it was looked for."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activities.hub.namespace import FileRecord
from activities.sources import BadList, listed_in
from orchestrator.cli.endings import Ending, told

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
