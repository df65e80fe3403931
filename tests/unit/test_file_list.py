"""The list of a plan's files in every form: exact names, exact values, whole or not at all, and a manifest again."""

import asyncio
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from activities.bulk import Bulk, Interrupted
from activities.columns import to_table
from activities.file_list import UnwritableName, is_list, write_list
from activities.hub.namespace import FileRecord
from activities.inventory import write_inventory
from activities.lists import listed_in
from activities.manifests import read_batch
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from tests.unit.selection_fixtures import NOW, made_policy
from workflows.plan import Plan

NAMES = [
    "plain",
    "a,b",
    'q"uote',
    "new\nline",
    "tab\t",
    "cr\r\nlf",
    "ünï",
    "bad\udcff",
    "\udcff\udc80",
    "🎬",
    "=1",
    " x ",
]
ODD = 1_600_000_000_123_456
RECORDS = [
    FileRecord(f"/a/{name}", "file", 10 + number, 512 * number, ODD, None, -1_000_000, "resident", "it's, ü")
    for number, name in enumerate(NAMES)
] + [FileRecord("/a/nothing is known", "file")]
FORMS = [".csv", ".jsonl", ".ndjson", ".parquet"]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage")


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    return Bulk(256 << 20, tmp_path / "spill")


def planned(storage: Storage, bulk: Bulk, records: list[FileRecord]) -> Plan:
    inventory = write_inventory(storage, "i", to_table(records), NOW)
    return make_plan(storage, bulk, PlanRequest(policy=made_policy(5), inventory=inventory, as_of_us=NOW))


def listed(file: Path) -> list[FileRecord]:
    async def read() -> list[FileRecord]:
        return [record async for page in listed_in(str(file)) for record in page]

    return asyncio.run(read())


@pytest.mark.parametrize("form", FORMS)
def test_a_list_read_again_has_every_name_and_value_in_the_plans_order(
    storage: Storage, bulk: Bulk, tmp_path: Path, form: str
) -> None:
    plan = planned(storage, bulk, RECORDS)
    target = tmp_path / f"list{form}"
    assert write_list(storage, bulk, made_policy(5), plan, target) == len(RECORDS)
    found = listed(target)
    order = [path for batch in range(plan.batches) for path in read_batch(storage, plan.manifest, batch).paths]
    assert [one.path for one in found] == order
    by_path = {one.path: one for one in RECORDS}
    for one in found:
        was = by_path[one.path]
        assert (one.size, one.disk_usage, one.status, one.owner) == (was.size, was.disk_usage, was.status, was.owner)
        assert (one.atime, one.mtime, one.ctime) == (was.atime, was.mtime, was.ctime)


def test_every_row_says_its_place_its_batch_and_its_rule(storage: Storage, bulk: Bulk, tmp_path: Path) -> None:
    plan = planned(storage, bulk, RECORDS)
    write_list(storage, bulk, made_policy(5), plan, tmp_path / "list.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "list.jsonl").read_text().splitlines()]
    assert [row["ordinal"] for row in rows] == list(range(len(RECORDS)))
    assert [row["batch"] for row in rows] == [0] * 5 + [1] * 5 + [2] * 3
    assert {row["rule"] for row in rows} == {"default"}
    write_list(storage, bulk, made_policy(5), plan, tmp_path / "list.parquet")
    assert pq.read_table(tmp_path / "list.parquet")["batch"].to_pylist() == [row["batch"] for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_plan_is_an_empty_list(storage: Storage, bulk: Bulk, tmp_path: Path, form: str) -> None:
    target = tmp_path / f"list{form}"
    assert write_list(storage, bulk, made_policy(5), planned(storage, bulk, []), target) == 0
    assert listed(target) == []
    assert is_list(target)


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_ours_is_known_again_and_nothing_else(
    storage: Storage, bulk: Bulk, tmp_path: Path, form: str
) -> None:
    target = tmp_path / f"list{form}"
    target.write_text("path,owner\n")
    assert not is_list(target)
    write_list(storage, bulk, made_policy(5), planned(storage, bulk, RECORDS), target)
    assert is_list(target)


def test_csv_refuses_a_name_that_is_no_bytes_and_leaves_what_was_there(
    storage: Storage, bulk: Bulk, tmp_path: Path
) -> None:
    plan = planned(storage, bulk, [FileRecord("/a/\ud800", "file", 1)])
    target = tmp_path / "list.csv"
    target.write_text("before")
    with pytest.raises(UnwritableName, match=r"\.jsonl"):
        write_list(storage, bulk, made_policy(5), plan, target)
    assert target.read_text() == "before"
    assert write_list(storage, bulk, made_policy(5), plan, tmp_path / "list.jsonl") == 1
    assert [one.path for one in listed(tmp_path / "list.jsonl")] == ["/a/\ud800"]


def test_an_interrupted_list_leaves_nothing(storage: Storage, bulk: Bulk, tmp_path: Path) -> None:
    plan = planned(storage, bulk, RECORDS)
    folder = tmp_path / "out"
    folder.mkdir()
    bulk.stop()
    with pytest.raises(Interrupted):
        write_list(storage, bulk, made_policy(5), plan, folder / "list.csv")
    assert list(folder.iterdir()) == []
