"""What the audit tells whoever asks: records by page, a lasting watch on the chain, a period, and a file."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.audit import AuditLog, AuditRecord, Event
from activities.ledger.finding import Wanted
from activities.storage import DirectoryStorage, open_storage
from orchestrator.auditing.period import period_report, period_sections, period_title
from orchestrator.auditing.watching import ChainWatch
from orchestrator.hub_calls import record_call
from orchestrator.reporting.html import html_page
from orchestrator.reporting.markdown import markdown_page
from orchestrator.settings import load_settings
from tests.e2e.audit_databases import Forger
from tests.e2e.audit_runs import Keeper

pytest_plugins = ["tests.e2e.audit_fixtures"]


@pytest.fixture
def log(url: str) -> Iterator[AuditLog]:
    opened = AuditLog(url)
    yield opened
    opened.close()


def told(
    number: int, *, actor: str = "engine", run: str | None = "r", event: str = "job.ended", **body: object
) -> AuditRecord:
    return AuditRecord(event=event, actor=actor, run=run, key=f"k{number}", body=body)


def test_records_are_found_by_whatever_is_wanted_of_them(log: AuditLog) -> None:
    log.append_many(
        [
            told(1, run="a-1", event="run.started", policy="a"),
            told(2, run="b-1", event="run.started", policy='b"\u0000%_'),
            told(3, run="a-1", event="job.ended", message='Disk "HOT"\nis full'),
            told(4, run=None, event="policy.applied", actor="ann@one", policy="a"),
            told(5, run=None, event="hold.set", actor="ann@two", policy=None, scope={"policy": "c"}),
            told(6, run="b-1", event="run.paused", actor="anna@one", reason="100 % _x"),
            told(7, run=None, event="policy.applied", actor="ann", policy="ab"),
        ]
    )

    def found(**wanted: object) -> list[int]:
        return [record.seq for record in log.find(Wanted(**wanted)).records]  # type: ignore[arg-type]

    assert found() == [1, 2, 3, 4, 5, 6, 7]
    assert found(run="a-1") == [1, 3]
    assert found(event="run.*") == [1, 2, 6]
    assert found(event="run.paused") == [6]
    assert found(actor="ann") == [4, 5, 7]
    assert found(actor="ann@two") == [5]
    assert found(policy="a") == [1, 3, 4]
    assert found(policy='b"\u0000%_') == [2, 6]
    assert found(policy="%") == []
    assert found(text='disk "hot"\n') == [3]
    assert found(text="% _X") == [6]
    assert found(text="HOLD.") == [5]
    assert found(policy="a", event="job.*", text="full") == [3]
    assert found(since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert len(found(since=datetime.now(UTC) - timedelta(hours=1), until=datetime.now(UTC) + timedelta(hours=1))) == 7
    assert found(until=datetime.now(UTC) - timedelta(hours=1)) == []


def test_pages_hang_together_while_records_are_written(log: AuditLog) -> None:
    log.append_many([told(number) for number in range(10)])
    newest = log.find(limit=4)
    assert ([one.seq for one in newest.records], newest.older) == ([7, 8, 9, 10], 7)
    log.append_many([told(number) for number in range(10, 13)])
    older = log.find(before=newest.older, limit=4)
    assert ([one.seq for one in older.records], older.older, older.newer) == ([3, 4, 5, 6], 3, 6)
    oldest = log.find(before=older.older, limit=4)
    assert ([one.seq for one in oldest.records], oldest.older) == ([1, 2], None)
    newer = log.find(after=newest.newer, limit=2)
    assert ([one.seq for one in newer.records], newer.newer) == ([11, 12], 12)
    assert (log.find(after=12, limit=2).newer, log.find(after=13).records) == (None, [])


def test_a_record_is_found_by_number_key_and_beginning_of_its_hash(log: AuditLog) -> None:
    stored = log.append_many([told(number) for number in range(3)])
    assert log.at(2) == stored[1]
    assert log.at(4) is None
    assert log.with_hash(stored[2].hash[:12]) == [stored[2]]
    assert len(log.with_hash("")) == 2
    assert log.hashes([1, 3, 9]) == {1: stored[0].hash, 3: stored[2].hash}
    assert log.end() == (3, stored[2].hash)


def test_a_watch_reads_what_is_new_and_comes_by_everything_again(log: AuditLog, url: str) -> None:
    log.append_many([told(number) for number in range(50)])
    watch = ChainWatch(log, at_once=20)
    assert watch.known is None
    first = watch.look()
    assert (first.verdict.ok, first.verdict.count, first.whole) == (True, 50, first.looked)
    log.append_many([told(number) for number in range(50, 60)])
    seen = [watch.look() for _ in range(3)]
    assert [(one.verdict.count, one.again) for one in seen] == [(60, 20), (60, 40), (60, 0)]
    assert seen[2].whole == seen[0].looked, "a turn says when it began"
    forger = Forger(url)
    whole = forger.rows()
    forger.run("UPDATE audit SET actor = 'nobody' WHERE seq = 45")
    looks = [watch.look().verdict for _ in range(3)]
    assert [one.ok for one in looks] == [True, True, False]
    assert looks[2].broken_at == 45
    assert watch.look().verdict.broken_at == 45, "it stays broken"
    forger.replace(whole)
    assert watch.look().verdict.ok, "until a full walk finds nothing"
    forger.close()


def test_a_watch_knows_a_chain_that_was_written_anew(log: AuditLog, url: str) -> None:
    log.append_many([told(number) for number in range(5)])
    watch = ChainWatch(log)
    watch.look()
    forger = Forger(url)
    forger.run("DELETE FROM audit")
    forger.close()
    log.append_many([told(number, run="other") for number in range(6)])
    assert log.verify().ok
    for look in (watch.full, watch.look):
        verdict = look().verdict
        assert (verdict.ok, verdict.broken_at) == (False, 5)


def test_a_period_tells_who_did_what(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}")
    storage = open_storage(tmp_path / "store")
    assert isinstance(storage, DirectoryStorage)
    keeper = Keeper(log, storage, tmp_path / "spill")
    keeper.tell(None, Event.HOLD_SET, 0, actor="eve@host", kind="freeze", reason="before the period")
    since = datetime.now(UTC)
    keeper.apply(1)
    keeper.run("p-1", [f"/a/{name}" for name in range(6)], {"/a/1": "checksum"}, approver="bob@host")
    keeper.begin("p-2", ["/a/1"], actor="ann@host")
    keeper.tell("p-2", Event.RUN_REFUSED, why="guards.max_files allows 0")
    keeper.tell(None, Event.HOLD_SET, 1, actor="ann@host", kind="freeze", site="london", reason="<b>array | down</b>")
    until = datetime.now(UTC) + timedelta(seconds=1)
    report = period_report(log, since, until)
    assert [one["actor"] for one in report["people"]] == ["ann@host", "bob@host"]
    assert report["people"][0]["events"] == {"hold.set": 1, "policy.applied": 1, "run.started": 1}
    runs = {one["run_id"]: one for one in report["runs"]}
    assert (runs["p-1"]["state"], runs["p-1"]["approved_by"], runs["p-1"]["files"]) == ("failed", ["bob@host"], 6)
    assert (runs["p-2"]["state"], runs["p-2"]["actor"]) == ("refused", "ann@host")
    assert [one["event"] for one in report["approvals"]] == ["plan.approved", "run.refused"]
    assert [(one["event"], one["details"]["kind"]) for one in report["actions"]] == [("hold.set", "freeze")]
    assert report["records"] == sum(report["events"].values()) == log.end()[0] - 1
    page = html_page(period_title(report), period_sections(report), report)
    text = markdown_page(period_title(report), period_sections(report), report)
    assert "&lt;b&gt;array | down&lt;/b&gt;" in page
    assert "\\<b\\>array \\| down" in text
    assert period_report(log, until + timedelta(hours=1), None)["records"] == 0


def test_a_call_of_the_hub_by_hand_is_recorded_unless_it_only_reads(tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path)
    record_call(settings, "get", "/jobs/7/", None, actor="ann@host", reason="")
    assert not AuditLog(settings.audit.get_secret_value()).is_there()
    secret = {"password": "s3cret", "username": "x"}
    record_call(settings, "POST", "/targets/", secret, actor="ann@host", reason="new array")
    log = AuditLog(settings.audit.get_secret_value())
    (record,) = log.records()
    assert (record.event, record.actor) == ("hub.called", "ann@host")
    said = {"method": "POST", "path": "/targets/", "fields": ["password", "username"], "reason": "new array"}
    assert record.body == said
    log.close()
