"""The most frequent errors: counted over all files, one kind where only numbers and paths differ, with examples."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activities.bulk import Bulk
from activities.closing import SCHEMA
from activities.storage import Storage, open_storage
from orchestrator.outcome_files import Wanted, count_files, read_files, write_files
from orchestrator.reporting.errors import ErrorKind, errors_of, with_every_reason
from orchestrator.settings import Settings, load_settings

RUN = "archive-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path / "state")


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return open_storage(settings.storage)


def outcomes(storage: Storage, folder: Path, rows: list[tuple[str, str, str | None, str]]) -> None:
    """Write a closed run's table of path, outcome, reason and message."""
    columns = {
        "ordinal": range(len(rows)),
        "path": [path for path, *_ in rows],
        "size": [10] * len(rows),
        "rule": ["media"] * len(rows),
        "outcome": [outcome for _, outcome, *_ in rows],
        "reason": [reason for *_, reason, _ in rows],
        "message": [message for *_, message in rows],
        "round": [1] * len(rows),
        "job": [1] * len(rows),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}).cast(SCHEMA), folder / "t")
    storage.upload(folder / "t", f"runs/{RUN}/outcomes.parquet")


def test_messages_that_differ_in_numbers_or_their_path_are_one_error(storage: Storage, tmp_path: Path) -> None:
    rows: list[tuple[str, str, str | None, str]] = [
        (f"/a/{n}.mov", "failed", "timeout", f"gave up on /a/{n}.mov after {n} s") for n in range(1000)
    ]
    rows += [("/b", "failed", "timeout", "another"), ("/c", "failed", None, ""), ("/d", "done", None, "")]
    outcomes(storage, tmp_path / "made", rows)
    found = errors_of(storage, Bulk(64 << 20, tmp_path), RUN)
    assert found[0] == ErrorKind(
        reason="timeout",
        message="gave up on /a/0.mov after 0 s",
        files=1000,
        examples=("/a/0.mov", "/a/1.mov", "/a/2.mov"),
    )
    assert [(one.reason, one.files, one.examples) for one in found[1:]] == [
        ("timeout", 1, ("/b",)),
        ("unknown", 1, ("/c",)),
    ]


def test_no_more_than_ten_are_told_the_most_frequent_first(storage: Storage, tmp_path: Path) -> None:
    words = "abcdefghijklmno"
    rows = [(f"/{w}{n}", "failed", "hub_error", w * 3) for index, w in enumerate(words) for n in range(index + 1)]
    outcomes(storage, tmp_path / "made", rows)  # type: ignore[arg-type]
    found = errors_of(storage, Bulk(64 << 20, tmp_path), RUN)
    assert [one.files for one in found] == [15, 14, 13, 12, 11, 10, 9, 8, 7, 6]


def test_what_was_found_in_some_batches_is_completed_by_the_counts_of_all() -> None:
    seen = [ErrorKind(reason="timeout", message="m", files=2, examples=("/a",))]
    found = with_every_reason(seen, {"timeout": 50, "busy": 60, "gone": 0})
    assert [(one.reason, one.files) for one in found] == [("busy", 60), ("timeout", 50)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_chosen_files_are_written_whole(storage: Storage, settings: Settings, tmp_path: Path, suffix: str) -> None:
    rows: list[tuple[str, str, str | None, str]] = [(f"/a/{n}", "failed", "timeout", "=cmd() now") for n in range(3)]
    rows += [("/b\n,\x1b", "failed", "busy", "it Timed Out"), ("/c", "done", None, "timed out")]
    outcomes(storage, tmp_path / "made", rows)
    target = tmp_path / f"out{suffix}"
    target.write_text("an older one")
    assert write_files(settings, RUN, Wanted("failed", error="timed out"), target) == 1
    assert write_files(settings, RUN, Wanted(error="timeout"), target) == 3
    assert write_files(settings, RUN, Wanted(), target) == 5
    assert sorted(one.name for one in tmp_path.iterdir() if "out" in one.name) == [target.name]
    if suffix == ".parquet":
        assert pq.read_table(target).num_rows == 5
        return
    lines = target.read_text().splitlines()
    assert len(lines) == 5 + (suffix == ".csv")
    if suffix == ".csv":
        assert "'=cmd() now" in lines[1], "no spreadsheet takes it for a formula"
        assert '"/b\\n,\\x1b"' in lines[4]


def test_an_error_is_a_reason_or_a_part_of_a_message(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    outcomes(storage, tmp_path / "made", [("/a", "failed", "timeout", ""), ("/b", "failed", None, "No ROOM here")])
    assert [row["path"] for row in read_files(settings, RUN, Wanted(error="no room"))] == ["/b"]
    assert count_files(settings, RUN, Wanted(error="timeout")) == 1
    assert count_files(settings, RUN, Wanted(error="%")) == 0
