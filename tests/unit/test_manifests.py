"""A manifest is what was planned, under exact names, or it is refused."""

import json
from pathlib import Path

import pytest

from activities.manifests import ManifestDamaged, open_manifest, read_batch, read_head
from activities.storage import Storage, open_storage
from tests.unit.selection_fixtures import made_plan
from workflows.plan import Plan

HARD = [
    "/a/plain",
    "/a/with space",
    "/a/new\nline",
    "/a/quote'\"",
    "/a/\x01\x7f\x1b[31m",
    "/a/bytes-\udcff\udc80",
    "/a/" + "x" * 255,
    "/a" + "/y" * 2000,
    "/a/日本",
    "/a/\U0010ffff",
    "/a/100%25",
    "/a/\\",
]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "storage")


@pytest.fixture
def plan(storage: Storage, tmp_path: Path) -> Plan:
    return made_plan(storage, tmp_path / "spill", HARD, batch_files=4)


def fresh(storage: Storage) -> Storage:
    path = storage.local_path("x")
    assert path is not None
    return open_storage(path.parent)


def test_every_name_comes_back_exactly(storage: Storage, plan: Plan) -> None:
    found = [path for number in range(plan.batches) for path in read_batch(storage, plan.manifest, number).paths]
    assert sorted(found) == sorted(HARD)
    assert read_head(storage, plan.manifest).files == len(HARD)


@pytest.mark.parametrize("name", ["part-00000.parquet", "batches.parquet", "manifest.json"])
def test_a_flipped_byte_is_found(storage: Storage, plan: Plan, name: str) -> None:
    content = bytearray(storage.get(f"{plan.manifest}/{name}"))
    for at in range(0, len(content), 7):
        content[at] ^= 1
    storage.put(f"{plan.manifest}/{name}", bytes(content))
    with pytest.raises(ManifestDamaged) as caught:
        read_batch(fresh(storage), plan.manifest, 0)
    assert caught.value.non_retryable


@pytest.mark.parametrize("name", ["part-00000.parquet", "batches.parquet", "manifest.json"])
def test_a_missing_file_is_found(storage: Storage, plan: Plan, name: str) -> None:
    storage.delete(f"{plan.manifest}/{name}")
    with pytest.raises(ManifestDamaged, match=name):
        read_batch(fresh(storage), plan.manifest, 0)


def test_a_manifest_of_another_plan_is_not_taken_for_this_one(storage: Storage, plan: Plan, tmp_path: Path) -> None:
    other = made_plan(storage, tmp_path / "spill", HARD[:3])
    for name in storage.list(other.manifest):
        storage.put(name.replace(other.digest, plan.digest), storage.get(name))
    with pytest.raises(ManifestDamaged, match="says it is the plan"):
        read_batch(fresh(storage), plan.manifest, 0)


def test_a_changed_policy_text_is_found(storage: Storage, plan: Plan) -> None:
    head = json.loads(storage.get(f"{plan.manifest}/manifest.json"))
    head["policy"] = head["policy"].replace("migrate", "recall")
    storage.put(f"{plan.manifest}/manifest.json", json.dumps(head).encode())
    with pytest.raises(ManifestDamaged, match="policy's text"):
        read_head(storage, plan.manifest)


def test_a_batch_that_does_not_exist_is_refused(storage: Storage, plan: Plan) -> None:
    with pytest.raises(ManifestDamaged, match="no batch 3, there are 3"):
        read_batch(storage, plan.manifest, 3)


def test_the_head_counts_what_the_batches_hold(storage: Storage, plan: Plan) -> None:
    manifest = open_manifest(storage, plan.manifest)
    assert manifest.head.files == sum(manifest.index["files"].to_pylist()) == plan.files
    assert manifest.head.bytes == sum(manifest.index["bytes"].to_pylist()) == plan.bytes
