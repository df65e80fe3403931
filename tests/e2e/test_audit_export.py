"""An export verifies without this program: by the lines of docs/audit.md, and nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from activities.audit import AuditLog
from activities.storage import DirectoryStorage, open_storage
from orchestrator.settings import load_settings
from tests.e2e.audit_runs import Keeper, new_key
from tests.e2e.test_audit_command import command

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
HARD = {
    "text": 'a","hash":"' + "0" * 64 + '"\u2028\u0000\ud7ff\U0010ffff',
    "hash": {"hash": "0" * 64},
    "n": [1.5, 1e21],
}


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export of a run, of a record that looks like what it is not, and of a checkpoint."""
    (tmp_path / "key.pem").write_text(new_key())
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_KEY_FILE", str(tmp_path / "key.pem"))
    settings = load_settings()
    log = AuditLog(settings.audit.get_secret_value())
    storage = open_storage(settings.storage)
    assert isinstance(storage, DirectoryStorage)
    keeper = Keeper(log, storage, tmp_path / "spill")
    keeper.run("p-1", [f"/a/{name}" for name in range(6)], {"/a/1": "busy"})
    keeper.tell("p-1", "run.paused", actor="ann@höst", **HARD)
    log.close()
    assert command("checkpoint")[0] == 0
    file = tmp_path / "audit.jsonl"
    assert command("export", "--out", str(file))[0] == 0
    return file


def checked(file: Path, lines: list[str] | None = None) -> tuple[int, str]:
    """Run the page's own lines in a Python that finds nothing of ours."""
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    check = file.with_name("check.py")
    check.write_text(script)
    if lines is not None:
        file = file.with_name("other.jsonl")
        file.write_text("".join(lines), "utf-8", newline="\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", check.name, file.name], cwd=file.parent, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_the_lines_of_the_page_find_whatever_was_done_to_an_export(exported: Path) -> None:
    lines = re.findall(r"[^\n]*\n", exported.read_text("utf-8"))
    records = len(lines) - 1
    code, said = checked(exported)
    assert (code, f"{records} records, 1 checkpoints; the last is {records}:" in said) == (0, True), said
    changed = [line.replace("engine", "nobody") if place == 3 else line for place, line in enumerate(lines)]
    cut = lines[: records - 2] + lines[-1:]
    assert "record 4 was changed" in checked(exported, changed)[1]
    assert "record 5 does not follow record 3" in checked(exported, lines[:3] + lines[4:])[1]
    assert "record 3 does not follow record 1" in checked(exported, [lines[0], lines[2], lines[1], *lines[3:]])[1]
    assert f"record {records} is not the one that was signed at" in checked(exported, cut)[1]
    assert checked(exported, lines[4:7])[0] == 0, "a stretch of it is checked by itself"
    assert checked(exported, [])[0] == 1


def test_openssl_alone_tells_who_signed_a_checkpoint(exported: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    seq = len(re.findall(r"\n", exported.read_text("utf-8"))) - 1
    script = PAGE.rpartition("```\ngrep")[2].rpartition("```")[0].replace("1234", str(seq))
    script = "set -e\ngrep" + script.replace("audit-key.pem", "key.pem")
    run = ["bash", "-c", script]
    done = subprocess.run(run, cwd=exported.parent, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Signature Verified Successfully" in done.stdout) == (0, True), done
    text = exported.read_text("utf-8")
    exported.write_text(text.replace(f'"seq":{seq},"signature"', f'"seq":{seq}1,"signature"'), "utf-8")
    again = script.replace(f'"seq":{seq},', f'"seq":{seq}1,')
    forged = subprocess.run(["bash", "-c", again], cwd=exported.parent, capture_output=True, text=True, timeout=60)
    assert forged.returncode != 0, forged


def test_a_stretch_of_time_is_exported_without_gaps(exported: Path) -> None:
    code, out = command("export", "--since", "1h")
    assert (code, out) == (0, exported.read_text("utf-8"))
