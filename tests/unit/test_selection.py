"""A policy and an inventory give an exact plan: order, limits, counts, digest."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from activities.bulk import Bulk
from activities.columns import to_table
from activities.hub.namespace import FileRecord
from activities.inventory import InventoryRef, write_inventory
from activities.manifests import read_batch
from activities.selection import PlanRequest, UnknownAttributes, make_plan
from activities.storage import Storage, open_storage
from workflows.plan import Plan
from workflows.policy import Policy

DAY = 86_400_000_000
NOW = 20_000 * DAY


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage")


@pytest.fixture
def bulk(tmp_path: Path) -> Bulk:
    return Bulk(256 << 20, tmp_path / "spill")


def policy(select: dict[str, Any] | None = None, **run: Any) -> Policy:
    return Policy.model_validate(
        {
            "version": 1,
            "name": "p",
            "site": "london",
            "select": {"from": {"path": "/a"}, **(select or {})},
            "run": {"workflow": "migrate", **run},
        }
    )


def kept(storage: Storage, records: list[FileRecord]) -> InventoryRef:
    return write_inventory(storage, "i", to_table(records), NOW)


def planned(storage: Storage, bulk: Bulk, policy: Policy, inventory: InventoryRef, **more: Any) -> Plan:
    return make_plan(storage, bulk, PlanRequest(policy=policy, inventory=inventory, as_of_us=NOW, **more))


def paths(storage: Storage, plan: Plan) -> list[list[str]]:
    return [list(read_batch(storage, plan.manifest, batch).paths) for batch in range(plan.batches)]


SIZES = [5, 3, 9, 9, 1, 7]
FILES = [FileRecord(f"/a/{name}", "file", size, mtime=NOW - size * DAY) for name, size in zip("abcdef", SIZES)]  # noqa: B905


def test_files_come_in_the_policys_order_with_ties_by_path(storage: Storage, bulk: Bulk) -> None:
    plan = planned(storage, bulk, policy({"order_by": ["-size"]}), kept(storage, FILES[::-1]))
    assert paths(storage, plan) == [["/a/c", "/a/d", "/a/f", "/a/a", "/a/b", "/a/e"]]
    assert (plan.files, plan.bytes, plan.scope_files, plan.scope_bytes) == (6, 34, 6, 34)


def test_unknown_values_come_last_in_either_direction(storage: Storage, bulk: Bulk) -> None:
    inventory = kept(storage, [FileRecord("/a/x", "file"), FileRecord("/a/y", "file", 1)])
    for key in ("size", "-size"):
        assert paths(storage, planned(storage, bulk, policy({"order_by": [key]}), inventory)) == [["/a/y", "/a/x"]]


def test_a_batch_is_cut_at_its_files_and_its_bytes(storage: Storage, bulk: Bulk) -> None:
    inventory = kept(storage, FILES)
    assert [len(one) for one in paths(storage, planned(storage, bulk, policy(batch={"files": 4}), inventory))] == [4, 2]
    plan = planned(storage, bulk, policy(batch={"bytes": "10B"}), inventory)
    assert paths(storage, plan) == [["/a/a", "/a/b"], ["/a/c"], ["/a/d", "/a/e"], ["/a/f"]]


def test_a_file_larger_than_a_batch_goes_alone(storage: Storage, bulk: Bulk) -> None:
    plan = planned(storage, bulk, policy(batch={"bytes": "4B"}), kept(storage, FILES))
    assert paths(storage, plan) == [["/a/a"], ["/a/b"], ["/a/c"], ["/a/d"], ["/a/e"], ["/a/f"]]


def test_a_batch_of_long_paths_stays_below_the_size_of_a_request(storage: Storage, bulk: Bulk) -> None:
    inventory = kept(storage, [FileRecord(f"/a/{number:04}" + "x" * 4000, "file", 1) for number in range(1500)])
    found = paths(storage, planned(storage, bulk, policy(batch={"files": 2000}), inventory))
    assert [len(one) for one in found] == [998, 502]


def test_a_limit_takes_a_prefix_and_the_first_file_that_does_not_fit_ends_it(storage: Storage, bulk: Bulk) -> None:
    inventory = kept(storage, FILES)
    plan = planned(storage, bulk, policy({"limit": {"bytes": "16B"}}), inventory)
    assert paths(storage, plan) == [["/a/a", "/a/b"]]
    assert plan.passed_over == {"limit_reached": 4}
    plan = planned(storage, bulk, policy({"limit": {"files": 3}}), inventory)
    assert paths(storage, plan) == [["/a/a", "/a/b", "/a/c"]]


def test_a_guard_that_truncates_caps_files_and_bytes(storage: Storage, bulk: Bulk) -> None:
    inventory = kept(storage, FILES)
    plan = planned(storage, bulk, policy(), inventory, cap_files=2)
    assert (plan.files, plan.truncated_by_guard, plan.passed_over) == (2, True, {"limit_reached": 4})
    assert planned(storage, bulk, policy(), inventory, cap_files=0).files == 0
    assert planned(storage, bulk, policy(), inventory, cap_bytes=17).files == 3


def test_every_file_of_the_scope_is_planned_or_passed_over_for_a_reason(storage: Storage, bulk: Bulk) -> None:
    select = {
        "exclude": [{"name": "b"}],
        "rules": [
            {"name": "old", "match": {"modified": "> 6d"}},
            {"name": "small", "match": {"size": "< 2B"}, "keep": True},
            {"name": "rest", "match": {"path": "/a/a"}},
        ],
    }
    inventory = kept(storage, [*FILES, FileRecord("/a/u", "file", 1)])
    plan = planned(storage, bulk, policy(select), inventory)
    assert [(rule.name, rule.files, rule.bytes) for rule in plan.rules] == [("old", 3, 25), ("rest", 1, 5)]
    assert plan.passed_over == {"excluded": 1, "kept": 1, "unknown_attribute": 1}
    assert plan.files + sum(plan.passed_over.values()) == plan.scope_files == 7


def test_unknown_attributes_fail_the_plan_when_the_policy_says_so(storage: Storage, bulk: Bulk) -> None:
    select = {"rules": [{"name": "big", "match": {"size": "> 1B"}}], "on_unknown": "fail"}
    inventory = kept(storage, [FileRecord("/a/\udcff", "file"), *FILES])
    with pytest.raises(UnknownAttributes, match=r"1 files lack .* /a/\\xff") as caught:
        planned(storage, bulk, policy(select), inventory)
    assert caught.value.non_retryable


def test_the_same_inputs_give_the_same_digest_however_the_rows_lie(storage: Storage, bulk: Bulk) -> None:
    one = planned(storage, bulk, policy(), kept(storage, FILES))
    other = open_storage(str(storage.local_path("other")))
    two = planned(other, bulk, policy(), write_inventory(other, "j", to_table(FILES[::-1]), NOW + 5))
    assert one.digest == two.digest
    assert one.manifest == f"plans/{one.digest}"


@pytest.mark.parametrize("change", ["as_of", "policy", "size", "modified", "path"])
def test_whatever_differs_changes_the_digest(storage: Storage, bulk: Bulk, change: str) -> None:
    before = planned(storage, bulk, policy(), kept(storage, FILES))
    odd = {
        "size": FileRecord("/a/a", "file", 6, mtime=FILES[0].mtime),
        "modified": FileRecord("/a/a", "file", 5, mtime=1),
        "path": FileRecord("/a/A", "file", 5, mtime=FILES[0].mtime),
    }.get(change, FILES[0])
    inventory = kept(storage, [odd, *FILES[1:]])
    request = PlanRequest(policy=policy(), inventory=inventory, as_of_us=NOW + (change == "as_of"))
    if change == "policy":
        request = request.model_copy(update={"policy": policy(queue="other")})
    assert make_plan(storage, bulk, request).digest != before.digest


def test_an_empty_inventory_gives_an_empty_plan(storage: Storage, bulk: Bulk) -> None:
    plan = planned(storage, bulk, policy(), write_inventory(storage, "e", to_table([]), NOW))
    assert (plan.files, plan.batches, plan.passed_over) == (0, 0, {})


def test_a_plan_of_many_parts_reads_back_whole(storage: Storage, bulk: Bulk) -> None:
    records = [FileRecord(f"/a/{number:05}", "file", number) for number in range(3_000)]
    plan = planned(storage, bulk, policy(batch={"files": 10}), kept(storage, records))
    assert plan.batches == 300
    assert sum(paths(storage, plan), []) == [record.path for record in records]  # noqa: RUF017
    assert list(read_batch(storage, plan.manifest, 299).ordinals) == list(range(2_990, 3_000))


def test_columns_are_what_the_schema_says(storage: Storage) -> None:
    table = to_table([FileRecord("/a/\udcff.MOV", "file", 1, 2, 3, 4, 5, "resident", "\udcfe", None, {"k\udcff": "v"})])
    assert isinstance(table, pa.Table)
    assert table.num_rows == 1
    assert table["extension"].to_pylist() == ["mov"]
