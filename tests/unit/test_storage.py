"""What is stored is whole, durable and never replaced by accident, in a directory and in an object store alike."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activities.storage import DirectoryStorage, Exists, Missing, Storage, open_storage


@pytest.fixture(params=["directory", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage" if request.param == "directory" else "memory:///")


def test_a_name_holds_what_was_put_last(storage: Storage) -> None:
    storage.put("a/b.json", b"one")
    storage.put("a/b.json", b"two")
    assert storage.get("a/b.json") == b"two"
    assert storage.exists("a/b.json")
    assert not storage.exists("a")


def test_what_is_written_create_only_is_never_replaced(storage: Storage) -> None:
    storage.put_new("a", b"one")
    with pytest.raises(Exists):
        storage.put_new("a", b"two")
    assert storage.get("a") == b"one"


def test_a_name_that_nothing_is_stored_under_is_missing(storage: Storage, tmp_path: Path) -> None:
    for read in (storage.get, storage.reader, lambda name: storage.fetch(name, tmp_path)):
        with pytest.raises(Missing):
            read("none")
    storage.delete("none")
    assert storage.list("none") == []


def test_names_below_a_folder_are_listed_and_deleted(storage: Storage) -> None:
    for name in ("a/2", "a/1", "a/c/3", "ab/4"):
        storage.put(name, b"")
    assert storage.list("a") == ["a/1", "a/2", "a/c/3"]
    storage.delete("a")
    assert storage.list("") == ["ab/4"]


def test_a_parquet_file_is_uploaded_and_read_where_it_is(storage: Storage, tmp_path: Path) -> None:
    local = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), local, row_group_size=100)
    storage.upload(local, "p/x.parquet")
    assert not local.exists()
    with pq.ParquetFile(storage.reader("p/x.parquet")) as file:
        assert file.read_row_group(3)["a"].to_pylist() == list(range(300, 400))
    assert pq.read_table(storage.fetch("p/x.parquet", tmp_path)).num_rows == 1000


@pytest.mark.parametrize("name", ["", "/a", "a/../b", "a//b", "a\0b", ".", "a\\b"])
def test_a_name_cannot_leave_the_storage(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="not a storage name"):
        storage.put(name, b"")


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.put_new("a", b"one")
    with pytest.raises(Exists):
        storage.put_new("a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
