"""`orchestrator audit`: what a person and a script read, and the exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activities.audit import AuditLog, AuditRecord, Event
from activities.storage import open_storage
from orchestrator.cli.audit import audit_app
from orchestrator.cli.endings import Ending, Refusal
from orchestrator.settings import Settings, load_settings
from tests.e2e.audit_databases import Forger
from tests.e2e.audit_runs import Keeper, new_key

pytest_plugins = ["tests.e2e.audit_fixtures"]


@pytest.fixture
def written(url: str, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_URL", url)
    log = AuditLog(url)
    for number in range(5):
        body = {"job": number, "site": "a", "state": "SUCCESS"}
        log.append(
            AuditRecord(event=Event.JOB_ENDED, actor="engine", run=f"r{number % 2}", key=f"k{number}", body=body)
        )
    log.append(AuditRecord(event=Event.RUN_PAUSED, actor="ann@host", run="r1", key="p", body={"reason": "a\nbackup"}))
    return log


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(audit_app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_list_shows_the_newest_records_with_the_newest_last(
    written: AuditLog, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out = command("list", "--limit", "2")
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert lines[0].split()[0] == "5"
    assert lines[1].strip() == "site: a, job: 4, state: SUCCESS"
    assert lines[2].endswith("run.paused  by ann@host in run r1")
    assert lines[3].strip() == r"reason: a\nbackup"


def test_list_as_json_gives_whole_records_of_the_filter(written: AuditLog) -> None:
    code, out = command("list", "--json", "--run", "r1", "--event", "job.ended", "--since", "1h")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [record["seq"] for record in found] == [2, 4]
    assert found[0] == written.records(run="r1")[0].model_dump(mode="json", exclude={"same"})


def test_a_run_that_nothing_is_recorded_of_is_refused_with_the_nearest(written: AuditLog) -> None:
    body = {"policy": "archive", "as_of": None, "reason": ""}
    written.append(AuditRecord(event=Event.RUN_STARTED, actor="ann", run="archive-1", key="s", body=body))
    with pytest.raises(Refusal, match="nothing is recorded of such a run: did you mean `archive-1`"):
        command("list", "--run", "archiv-1")
    assert command("list", "--run", "r1", "--event", "run.started")[0] == 0


def test_a_since_that_is_no_time_is_refused_with_what_would_do(written: AuditLog) -> None:
    with pytest.raises(Refusal, match="2026-05-01T10:00Z or an age such as 2h"):
        command("list", "--since", "yesterday-ish")


def test_verify_of_a_whole_chain_ends_well_and_gives_its_last_hash(written: AuditLog) -> None:
    code, out = command("verify")
    assert code == 0
    assert "whole: 6 records" in out
    assert written.verify().head in out


def test_verify_of_a_broken_chain_names_the_record_and_ends_with_one(written: AuditLog, url: str) -> None:
    forger = Forger(url)
    forger.run("UPDATE audit SET actor = 'nobody' WHERE seq = 4")
    forger.close()
    code, out = command("verify")
    assert code == 1
    assert "BROKEN at record 4" in out
    assert "job.ended by nobody" in out
    code, out = command("verify", "--json")
    assert code == 1
    assert json.loads(out)["broken_at"] == 4


def test_a_noted_hash_is_found_again_although_records_followed(written: AuditLog) -> None:
    head = written.verify().head
    written.append(AuditRecord(event=Event.RUN_PAUSED, actor="ann@host", run="r1", key="q", body={"reason": ""}))
    for noted in (head, f"6:{head}"):
        code, out = command("verify", "--expect", noted)
        assert (code, "record 6, 1 record before the end" in out) == (0, True)
    assert json.loads(command("verify", "--expect", head, "--json")[1])["expected_at"] == 6


def test_an_audit_that_was_cut_off_is_told_by_the_noted_hash_alone(written: AuditLog, url: str) -> None:
    head = written.verify().head
    forger = Forger(url)
    forger.run("DELETE FROM audit WHERE seq = 6")
    forger.close()
    assert command("verify")[0] == 0, "the rest is a chain"
    code, out = command("verify", "--expect", head)
    assert (code, "NOT the audit whose hash was noted: no record has it" in out) == (1, True)
    told = json.loads(command("verify", "--expect", head, "--json")[1])
    assert (told["ok"], told["expected_at"]) == (False, None)


def test_a_noted_hash_must_be_at_its_place_and_be_a_hash(written: AuditLog) -> None:
    code, out = command("verify", "--expect", f"5:{written.verify().head}")
    assert (code, "noted of record 5, and is that of record 6" in out) == (1, True)
    with pytest.raises(Refusal, match="64 hex digits"):
        command("verify", "--expect", "abc")


def test_reading_an_audit_that_nobody_wrote_is_refused_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_URL", f"sqlite:///{tmp_path / 'audit.sqlite'}")
    with pytest.raises(Refusal, match="no audit yet"):
        command("verify")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_ends_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_URL", "postgresql://me@127.0.0.1:1/audit")
    with pytest.raises(Refusal) as caught:
        command("verify")
    assert caught.value.ending is Ending.UNREACHABLE


def test_list_pages_on_and_takes_a_kind_of_event(written: AuditLog) -> None:
    def seqs(*arguments: str) -> list[int]:
        return [json.loads(line)["seq"] for line in command("list", "--json", *arguments)[1].splitlines()]

    assert seqs("--limit", "2", "--before", "5") == [3, 4]
    assert seqs("--limit", "2", "--after", "3") == [4, 5]
    assert seqs("--event", "job.*", "--actor", "engine", "--run", "r1") == [2, 4]
    assert seqs("--text", "A\nBACKUP") == [6]
    assert "--before 5" in CliRunner().invoke(audit_app, ["list", "--limit", "2"]).output
    with pytest.raises(Refusal, match=r"did you mean `job\.\*`|one of"):
        command("list", "--event", "jobs.*")


def test_show_takes_a_number_a_key_or_the_beginning_of_a_hash(written: AuditLog, url: str) -> None:
    record = written.records(run="r1")[-1]
    for which in ("6", "p", record.hash[:10]):
        code, out = command("show", which)
        assert (code, "Record 6: run.paused" in out, r"a\nbackup" in out) == (0, True, True)
        assert f"{record.hash}  (fits the record)" in out
    assert json.loads(command("show", "6", "--json")[1])["hash_before"] == record.prev_hash
    for which in ("7", "nothing", "ffffffffffff"):
        with pytest.raises(Refusal, match="the last one has number 6"):
            command("show", which)
    forger = Forger(url)
    forger.run("UPDATE audit SET body = '{}' WHERE seq = 6")
    forger.close()
    assert "DOES NOT FIT THE RECORD" in command("show", "6")[1]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with a key and a run, whose files are in the storage."""
    (tmp_path / "key.pem").write_text(new_key())
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ORCHESTRATOR_AUDIT_KEY_FILE", str(tmp_path / "key.pem"))
    settings = load_settings()
    log, storage = AuditLog(settings.audit.get_secret_value()), open_storage(settings.storage)
    Keeper(log, storage, settings.spill_dir).run("p-1", ["/a/1", "/a/2"], {"/a/1": "checksum"}, approver="bob@host")
    log.close()
    return settings


def test_a_run_is_signed_verified_told_of_its_files_and_reported(machine: Settings, tmp_path: Path) -> None:
    noted = tmp_path / "noted.jsonl"
    assert command("checkpoint", "--out", str(noted))[1] == noted.read_text()
    assert json.loads(command("key", "--json")[1])["public_key"] == machine.public_keys[0].text
    code, out = command("verify", "--checkpoints", str(noted))
    assert (code, "and 7 files of manifests, outcomes and policies" in out) == (0, True), out
    assert "0 records ago (2 checkpoints)" in out

    code, out = command("file", "/a/1")
    assert (code, "in 1 of 1 run" in out, "failed checksum (the Hub said checksum)" in out) == (0, True, True), out
    assert json.loads(command("file", "/a/2", "--json")[1])["runs"][0]["tries"][0]["outcome"] == "done"
    assert command("file", "/a/none")[0] == 1

    for name, part in (
        ("r.html", "<h2>Runs</h2>"),
        ("r.md", "| p-1 | p v1 |"),
        ("r.json", '"format": "orchestrator.audit-report/1"'),
    ):
        assert command("report", "--since", "1h", "--out", str(tmp_path / name))[0] == 0
        assert part in (tmp_path / name).read_text()

    (outcomes,) = (machine.state_dir / "store/runs/p-1").glob("outcomes.parquet")
    outcomes.unlink()
    code, out = command("verify")
    assert (code, "runs/p-1/outcomes.parquet" in out, "missing" in out) == (1, True, True), out
    assert command("verify", "--chain-only")[0] == 0


def test_a_wrong_note_and_a_missing_key_are_refused(
    machine: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "noted").write_text("{}\n")
    with pytest.raises(Refusal, match=r"noted:1: no checkpoint"):
        command("verify", "--checkpoints", str(tmp_path / "noted"))
    monkeypatch.delenv("ORCHESTRATOR_AUDIT_KEY_FILE")
    with pytest.raises(Refusal, match="openssl genpkey"):
        command("checkpoint")
