"""`orchestrator audit`: what a person and a script read, and the exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activities.audit import AuditLog, AuditRecord, Event
from orchestrator.cli.audit import audit_app
from orchestrator.cli.endings import Ending, Refusal
from tests.e2e.audit_databases import Forger

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
