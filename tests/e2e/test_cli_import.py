"""`import hub` from a local Hub: files that `check` accepts, whose plans take what the Hub's own conditions say."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import load_catalog
from orchestrator.previews import Wish, first_files, preview
from orchestrator.settings import Settings, load_settings
from tests.local_hub import LocalHub
from tests.machine import Machine
from workflows.policy import Policy

DAY = 86_400
Facts = dict[str, Any]


@pytest.fixture
def imported(machine: Machine, local_hub: LocalHub) -> tuple[Machine, LocalHub]:
    """A machine whose commands talk to the local Hub."""
    machine.environment |= {
        "ORCHESTRATOR_HUB_URL": local_hub.url,
        "ORCHESTRATOR_HUB_KEY_FILE": str(local_hub.state / "admin.key"),
    }
    return machine, local_hub


def takes(policy: Facts, file: Facts) -> bool:
    """The Hub's own words: any group, all of its conditions, each turned round where it is not to be included."""
    groups = policy["condition_groups"]
    return not groups or any(in_group(group, file) for group in groups)


def in_group(group: Facts, file: Facts) -> bool:
    """All conditions of the group."""
    for condition in group["date_conditions"]:
        days = int(condition["age"].split()[0])
        age = (
            file["as_of"]
            - file[{"accessed": "atime", "modified": "mtime", "changed": "ctime"}[condition["date_field"]]]
        )
        limit = days * DAY * 10**9
        met = age > limit if condition["older_or_newer"] == "older" else age < limit
        if met is not condition["include"]:
            return False
    for condition in group["filesize_conditions"]:
        met = (
            file["size"] > condition["size"]
            if condition["greater_or_less"] == "greater"
            else file["size"] < condition["size"]
        )
        if met is not condition["include"]:
            return False
    for condition in group["filetype_conditions"]:
        wanted = {one.lstrip(".").lower() for one in condition["filetypes"]}
        stem, dot, end = file["name"].rpartition(".")
        met = bool(stem and dot) and end.lower() in wanted
        if met is not condition["include"]:
            return False
    return True


def plant(folder: Path, as_of: int) -> None:
    """Files on every edge: exactly at an age or a size and to both sides, odd extensions, nothing in them."""
    folder.mkdir(parents=True, exist_ok=True)
    ages = [0, 7, 14, 30, 90, 365]
    names = [
        "a.mov",
        "b.MOV",
        "c.mxf",
        "d.tmp",
        "e.Bak",
        "f",
        ".mov",
        "g.",
        "h.tar.mov",
        "i.mov.tmp",
        "ü.dpx",
        "j .mov",
    ]
    sizes = [0, 1, 4095, 4096, 1_048_576, 1_048_577]
    number = 0
    for name in names:
        for size in sizes:
            for shift in (-1, 0, 1):
                days = ages[number % len(ages)]
                other = ages[(number * 7 + 3) % len(ages)]
                number += 1
                place = folder / f"{number:03}"
                place.mkdir()
                file = place / name
                with file.open("wb") as content:
                    content.truncate(size)
                microsecond = 1000
                os.utime(file, ns=(as_of - days * DAY * 10**9 - shift * microsecond,
                                   as_of - other * DAY * 10**9 + shift * microsecond))  # fmt: skip


def facts(folder: Path, as_of: int) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    for file in folder.rglob("*"):
        if file.is_file():
            stat = file.stat()
            path = f"/mmfs1/projects/{file.relative_to(folder)}"
            # The Hub tells times in whole microseconds.
            times = {"atime": stat.st_atime_ns, "mtime": stat.st_mtime_ns, "ctime": stat.st_ctime_ns // 1000 * 1000}
            found[path] = {"name": file.name, "size": stat.st_size, "as_of": as_of, **times}
    return found


async def planned(settings: Settings, policy: Policy, as_of: int) -> set[str]:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=as_of // 1000)
    found = await preview(settings, policy, Wish(as_of=moment))
    assert found.inventory.problems == 0
    return {path for path, _ in first_files(settings, found.plan, 10_000)}


@pytest.mark.parametrize("ahead", [3, 30])
async def test_the_plan_of_an_imported_policy_takes_what_the_hubs_conditions_take(
    imported: tuple[Machine, LocalHub], ahead: int
) -> None:
    machine, hub = imported
    as_of = (int(time.time()) + ahead * DAY) * 10**9
    plant(hub.projects, as_of)
    ended = machine.run("import", "hub")
    assert ended.returncode == 0, ended.stderr
    checked = machine.run("check", str(machine.policies / "imported"))
    assert checked.returncode == 0, checked.stdout
    policies = {name: one.policy for name, one in load_catalog(machine.policies / "imported").items()}
    settings = load_settings(state_dir=machine.state, hub_url=hub.url, hub_key_file=hub.state / "admin.key")
    files = facts(hub.projects, as_of)
    counts = []
    for one in hub.call("GET", "/api/policies/", params={"page_size": 0})["results"]:
        (policy,) = [p for p in policies.values() if p.labels.get("hub_policy") == str(one["id"])]
        taken = await planned(settings, policy, as_of)
        assert taken == {path for path, file in files.items() if takes(one, file)}, one["name"]
        counts.append(len(taken))
    assert len(counts) == 7
    assert len(set(counts)) >= 4, "the samples tell files apart"
    assert any(0 < count < len(files) for count in counts)


def test_a_second_import_changes_nothing_and_an_edited_file_stays(imported: tuple[Machine, LocalHub]) -> None:
    machine, _ = imported
    folder = machine.policies / "imported"
    assert machine.run("import", "hub", "--dry-run").returncode == 0
    assert not folder.exists()
    first = machine.json("import", "hub")
    assert {one["state"] for one in first["files"]} == {"new"}
    assert all(one["not_carried"] or one["carried"] for one in first["files"])
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert {one["state"] for one in machine.json("import", "hub")["files"]} == {"unchanged"}
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    edited = folder / "cold-media-sample.yaml"
    edited.write_text(edited.read_text().replace("\nenabled: false", "\nenabled: true"))
    refused = machine.run("import", "hub")
    assert refused.returncode == 2
    assert "1 file differs from the Hub's and stays as it is" in refused.stderr
    assert "\nenabled: true" in edited.read_text()
    assert machine.run("import", "hub", "--force").returncode == 0
    assert "\nenabled: true" not in edited.read_text()


def test_only_the_site_that_is_asked_for_is_imported(imported: tuple[Machine, LocalHub]) -> None:
    machine, _ = imported
    assert len(machine.json("import", "hub", "--dry-run", "--site", "london")["files"]) == 12
    ended = machine.run("import", "hub", "--site", "londn")
    assert ended.returncode == 2
    assert "did you mean `london`?" in ended.stderr


def test_what_the_hub_says_in_its_own_way_is_told_not_lost(imported: tuple[Machine, LocalHub]) -> None:
    machine, hub = imported
    group = {"name": "odd\ngroup: [", "owner_conditions": [{"owner": "ann"}], "date_conditions": [
        {"age": "90", "date_field": "atime", "older_or_newer": "older", "include": True}]}  # fmt: skip
    body = {"name": "a # b\nenabled: true", "site": 1, "spaces": [1, 99], "policy_type": "shred",
            "condition_groups": [group], "mood": {"x": "\u2028"}}  # fmt: skip
    number = hub.call("POST", "/api/policies/", json=body)["id"]
    told = next(one for one in machine.json("import", "hub")["files"] if one["id"] == str(number))
    text = (machine.policies / "imported" / "a-b-enabled-true.yaml").read_text()
    assert json.loads(json.dumps(told["text"])) == text
    for word in ("space 99", "condition group", "policy_type", "mood"):
        assert f"# not carried over: {word}" in text or f"# not carried over: `{word}`" in text, text
    assert "path: /replace-this-rule" in text
    assert "workflow: replace-this" in text
    assert machine.run("check", str(machine.policies / "imported")).returncode == 0


def test_an_import_fits_a_narrow_screen_and_says_what_to_type_next(imported: tuple[Machine, LocalHub]) -> None:
    machine, _ = imported
    lines = machine.run("import", "hub").stdout.splitlines()
    next_steps = lines.index("All say `enabled: false`, and the Hub goes on with its own. Read them, then:")
    assert max(map(len, lines[: next_steps - 1])) <= 100
    folder = machine.policies / "imported"
    assert lines[next_steps + 1] == f"  orchestrator check {folder}"
    assert lines[-1].startswith(f"  mv {folder}/") and lines[-1].endswith(f" {machine.policies}")
    assert machine.run(*lines[next_steps + 2].split()[1:]).returncode == 0
