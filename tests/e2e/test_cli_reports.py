"""Reports and lists of files from the command line, of a run over hostile names."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.machine import Machine

NAMES = ("plain.mov", "<script>alert(1)<!--.mov", "a|b`c`[d](e).mov", "red\x1b[31m\n# x.mov")


@pytest.mark.long
def test_a_run_over_hostile_names_is_reported_in_every_format_and_its_files_listed(
    machine: Machine, tmp_path: Path
) -> None:
    for name in NAMES:
        (machine.projects / name).write_bytes(b"x" * 5000)
    machine.policy()
    faults = tmp_path / "faults.json"
    action = {"kind": "path_fail", "code": "target_error", "message": "=1+1 <b>no room</b>\x1b[31m"}
    faults.write_text(json.dumps({"rules": [{"match": {"file": "*script*"}, "action": action}]}))
    options = {"ORCHESTRATOR_LOCALHUB_OPTIONS": f"--faults {faults}"}
    assert machine.run("run", "archive", "--wait", **options).returncode == 1

    told = machine.run("runs", "report")
    assert told.returncode == 0, told.stderr
    assert "4 planned = 3 done + 1 failed: adds up" in told.stdout
    assert "/\\<script\\>" in told.stdout and "/<script" not in told.stdout and "\x1b" not in told.stdout
    page, data = tmp_path / "r.html", tmp_path / "r.json"
    assert machine.run("runs", "report", "--out", str(page)).returncode == 0
    assert "&lt;script&gt;alert(1)" in page.read_text() and "<script" not in page.read_text()
    assert machine.run("runs", "report", "--out", str(data)).returncode == 0
    report = json.loads(data.read_text())
    assert report["format"] == "orchestrator.report/1"
    assert report["errors"][0]["examples"] == ["/mmfs1/projects/<script>alert(1)<!--.mov"]
    assert machine.run("runs", "report", "no-such-run").returncode == 2
    assert machine.run("runs", "report", "--out", "r.pdf").returncode == 2

    lines, table = tmp_path / "f.csv", tmp_path / "f.parquet"
    assert "1 file written" in machine.run("runs", "files", "--state", "failed", "--out", str(lines)).stdout
    rows = list(csv.DictReader(lines.open(newline="")))
    assert [(row["path"], row["message"]) for row in rows] == [
        ("/mmfs1/projects/<script>alert(1)<!--.mov", "'=1+1 <b>no room</b>\\x1b[31m")
    ]
    assert machine.json("runs", "files", "--error", "NO ROOM", "--out", str(table))["files"] == 1
    assert pq.read_table(table)["reason"].to_pylist() == ["target_error"]
    assert machine.run("runs", "files", "--out", "f.xls").returncode == 2
    assert machine.run("runs", "files", "--out", "no/folder/f.csv").returncode == 2
