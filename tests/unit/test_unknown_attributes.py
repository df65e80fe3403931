"""A file whose decision hangs on an attribute that the Hub did not give stays where it is: one test per condition."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from activities.bulk import Bulk
from activities.columns import to_table
from activities.hub.namespace import FileRecord
from activities.inventory import write_inventory
from activities.selection import PlanRequest, make_plan
from activities.storage import open_storage
from tests.unit.selection_fixtures import NOW, made_policy

DAY = 86_400_000_000
KNOWN = FileRecord(
    "/a/f.mov",
    "file",
    size=4096,
    disk_usage=4096,
    atime=NOW - 100 * DAY,
    mtime=NOW - 100 * DAY,
    ctime=NOW - 100 * DAY,
    status="resident",
    owner="ann",
    group="staff",
    metadata={"show": "x"},
)


@dataclass(frozen=True)
class Case:
    """A condition that the whole file meets, and the attribute without which nobody can tell."""

    condition: dict[str, Any]
    without: dict[str, Any]


CASES = {
    "accessed": Case({"accessed": "> 90d"}, {"atime": None}),
    "modified": Case({"modified": "> 90d"}, {"mtime": None}),
    "changed": Case({"changed": "> 90d"}, {"ctime": None}),
    "size": Case({"size": "> 1KiB"}, {"size": None}),
    "disk_usage": Case({"disk_usage": "> 1KiB"}, {"disk_usage": None}),
    "status": Case({"status": "resident"}, {"status": None}),
    "owner": Case({"owner": "ann"}, {"owner": None}),
    "group": Case({"group": "staff"}, {"group": None}),
    "one key of the metadata": Case({"metadata.show": "x"}, {"metadata": {"other": "x"}}),
    "all metadata": Case({"metadata.show": "x"}, {"metadata": None}),
}
ALL = {"path": "/a/**"}
# How a condition may stand in a policy, and whether the file with every attribute is taken.
STANDS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], bool]] = {
    "a rule": (lambda one: {"rules": [{"name": "r", "match": one}]}, True),
    "a rule's negation": (lambda one: {"rules": [{"name": "r", "match": {"not": one}}]}, False),
    "all of a rule": (lambda one: {"rules": [{"name": "r", "match": {"all": [ALL, one]}}]}, True),
    "a class": (lambda one: {"classes": {"c": one}, "rules": [{"name": "r", "match": "c"}]}, True),
    "an exclude": (lambda one: {"exclude": [one], "rules": [{"name": "r", "match": ALL}]}, False),
    "an exclude's negation": (lambda one: {"exclude": [{"not": one}], "rules": [{"name": "r", "match": ALL}]}, True),
    "a rule that keeps, above one that takes": (
        lambda one: {"rules": [{"name": "k", "match": one, "keep": True}, {"name": "r", "match": ALL}]},
        False,
    ),
}


def planned(folder: Path, file: FileRecord, select: dict[str, Any]) -> tuple[int, dict[str, int]]:
    storage = open_storage(folder / "storage")
    inventory = write_inventory(storage, "i", to_table([file]), NOW)
    policy = made_policy(select={"from": {"path": "/a"}, **select})
    plan = make_plan(
        storage, Bulk(256 << 20, folder / "spill"), PlanRequest(policy=policy, inventory=inventory, as_of_us=NOW)
    )
    return plan.files, plan.passed_over


@pytest.mark.parametrize("stands", STANDS)
@pytest.mark.parametrize("name", CASES)
def test_a_file_without_the_attribute_of_a_condition_is_not_moved(tmp_path: Path, name: str, stands: str) -> None:
    case, (select, taken) = CASES[name], STANDS[stands]
    assert planned(tmp_path, KNOWN, select(case.condition))[0] == taken
    unknown = msgspec.structs.replace(KNOWN, **case.without)
    assert planned(tmp_path / "unknown", unknown, select(case.condition)) == (0, {"unknown_attribute": 1})


@pytest.mark.parametrize("name", CASES)
def test_an_unknown_attribute_that_decides_nothing_keeps_no_file_back(tmp_path: Path, name: str) -> None:
    unknown = msgspec.structs.replace(KNOWN, **CASES[name].without)
    either = {"any": [ALL, CASES[name].condition]}
    assert planned(tmp_path, unknown, {"rules": [{"name": "r", "match": either}]})[0] == 1
