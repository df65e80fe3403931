"""The chain of the audit, on SQLite and on PostgreSQL: once by key, in order, and what the database refuses."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from activities.audit import AuditLog, AuditRecord, AuditUnavailable, Event, WrongDatabase, record_key
from activities.ledger.records import GENESIS
from tests.e2e.audit_databases import Forger, Postgres, raw

pytest_plugins = ["tests.e2e.audit_fixtures"]


def ended(job: int, run: str = "r1", **body: object) -> AuditRecord:
    told = {"job": job, "state": "SUCCESS", "counts": {"done": 1000}, **body}
    return AuditRecord(
        event=Event.JOB_ENDED, actor="worker", run=run, key=record_key(run, Event.JOB_ENDED, job), body=told
    )


@pytest.fixture
def log(url: str) -> Iterator[AuditLog]:
    opened = AuditLog(url)
    yield opened
    opened.close()


def test_records_follow_each_other_from_the_first(log: AuditLog) -> None:
    first, second = log.append(ended(1)), log.append(ended(2))
    assert (first.seq, first.prev_hash) == (1, GENESIS)
    assert (second.seq, second.prev_hash) == (2, first.hash)
    assert log.records() == [first, second]
    verdict = log.verify()
    assert (verdict.ok, verdict.count, verdict.head) == (True, 2, second.hash)


def test_an_empty_audit_is_whole(log: AuditLog) -> None:
    verdict = log.verify()
    assert (verdict.ok, verdict.count, verdict.head) == (True, 0, GENESIS)


def test_the_same_key_again_writes_nothing_and_gives_the_stored_record(log: AuditLog) -> None:
    first = log.append(ended(1))
    log.append(ended(2))
    assert log.append(ended(1)) == first
    assert [record.seq for record in log.records()] == [1, 2]


def test_the_same_key_with_another_body_tells_that_the_claim_was_taken(log: AuditLog) -> None:
    first = log.append(ended(1))
    again = log.append(ended(1, state="FAILURE"))
    assert not again.same
    assert again.body == first.body
    assert not log.append(ended(1).model_copy(update={"run": "r2"})).same
    assert len(log.records()) == 1


def test_many_records_are_one_transaction_and_a_key_may_come_twice_in_it(log: AuditLog) -> None:
    log.append(ended(2))
    stored = log.append_many([ended(1), ended(2), ended(3), ended(1), ended(3, state="FAILURE")])
    assert [(record.seq, record.same) for record in stored] == [
        (2, True),
        (1, True),
        (3, True),
        (2, True),
        (3, False),
    ]
    assert log.append_many([]) == []
    assert log.verify().count == 3


def test_more_keys_than_a_query_may_hold_are_written_once(log: AuditLog) -> None:
    records = [ended(job) for job in range(1300)]
    assert [record.seq for record in log.append_many(records)] == list(range(1, 1301))
    assert [record.seq for record in log.append_many(records)] == list(range(1, 1301))
    assert log.verify().ok


def test_hard_texts_come_back_as_they_were(log: AuditLog) -> None:
    body = {"nul": "a\x00b", "path": "/x/\U0010f8ff\n'\"\\", "deep": [{"é": [None, True, 1.5]}], "": ""}
    log.append(ended(1, **body))
    assert {name: log.records()[0].body[name] for name in body} == body
    assert log.verify().ok


def test_records_are_found_by_run_event_time_and_place(log: AuditLog) -> None:
    log.append_many([ended(job, run=f"r{job % 2}") for job in range(10)])
    log.append(AuditRecord(event=Event.RUN_ENDED, actor="worker", run="r1", key="end"))
    assert [record.seq for record in log.records(run="r1")] == [2, 4, 6, 8, 10, 11]
    assert [record.seq for record in log.records(event="run.ended")] == [11]
    assert [record.seq for record in log.records(after=8)] == [9, 10, 11]
    assert [record.seq for record in log.records(limit=2)] == [1, 2]
    assert [record.seq for record in log.records(run="r1", limit=2, newest=True)] == [10, 11]
    assert len(log.records(since=datetime.now(UTC) - timedelta(minutes=1))) == 11
    assert log.records(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    found = log.get("end")
    assert found is not None
    assert found.seq == 11
    assert log.get("never") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET body = '{}' WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT 9, at, actor, run, event, 'new', body, prev_hash, hash FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT 3, at, actor, run, event, 'new', body, prev_hash, hash FROM audit WHERE seq = 2",
        "INSERT INTO audit SELECT 3, at, actor, run, event, key, body, hash, hash FROM audit WHERE seq = 2",
    ],
)
def test_the_database_itself_refuses_to_change_a_record(log: AuditLog, url: str, statement: str) -> None:
    before = log.append_many([ended(1), ended(2)])
    with pytest.raises(IntegrityError):
        raw(url, lambda connection: connection.exec_driver_sql(statement))
    assert log.records() == before


def test_replacing_and_truncating_are_refused_too(log: AuditLog, url: str) -> None:
    before = log.append_many([ended(1), ended(2)])
    statements = ["TRUNCATE audit"]
    if url.startswith("sqlite"):
        statements = [
            "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 1",
            "REPLACE INTO audit SELECT 3, at, actor, run, event, key, body, hash, hash FROM audit WHERE seq = 2",
            "REPLACE INTO audit SELECT 2, at, actor, run, event, 'new', body, prev_hash, hash FROM audit WHERE seq = 1",
        ]
    for statement in statements:
        with pytest.raises(IntegrityError):
            raw(url, lambda connection, text=statement: connection.exec_driver_sql(text))
    assert log.records() == before


def test_verifying_walks_on_from_chunk_to_chunk(log: AuditLog, url: str) -> None:
    log.append_many([ended(job) for job in range(4500)])
    assert log.verify().count == 4500
    forger = Forger(url)
    forger.run("UPDATE audit SET actor = 'another' WHERE seq = 4001")
    forger.close()
    verdict = log.verify()
    assert (verdict.count, verdict.broken_at) == (4000, 4001)


def test_a_database_of_another_version_is_a_permanent_error(log: AuditLog, url: str) -> None:
    log.append(ended(1))
    raw(url, lambda connection: connection.exec_driver_sql("UPDATE audit_schema SET version = 99"))
    with pytest.raises(WrongDatabase, match="version 99"):
        AuditLog(url).append(ended(2))


def test_a_table_of_somebody_else_is_a_permanent_error(log: AuditLog, url: str) -> None:
    raw(url, lambda connection: connection.exec_driver_sql("CREATE TABLE audit (x INTEGER)"))
    with pytest.raises(WrongDatabase, match="not of this product"):
        log.append(ended(1))


def test_a_file_that_is_no_database_is_a_permanent_error(tmp_path: Path) -> None:
    file = tmp_path / "audit.sqlite"
    file.write_bytes(b"these bytes are not a database at all" * 100)
    with pytest.raises(WrongDatabase, match="not a database"):
        AuditLog(f"sqlite:///{file}").append(ended(1))


@pytest.mark.parametrize("url", ["sqlite://", "mysql://host/x", "nonsense", "postgresql+nodriver://host/x"])
def test_an_address_that_cannot_keep_an_audit_is_a_permanent_error(url: str) -> None:
    with pytest.raises(WrongDatabase):
        AuditLog(url)


def test_a_locked_file_is_a_passing_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'audit.sqlite'}"
    log = AuditLog(url, wait=0.1)
    log.append(ended(1))
    other = AuditLog(url)
    with other._database.writing(), pytest.raises(AuditUnavailable):
        log.append(ended(2))
    assert log.append(ended(2)).seq == 2


def test_a_server_that_is_away_is_a_passing_error_and_comes_back(new_postgres: Callable[[], Postgres]) -> None:
    server = new_postgres()
    url = server.new_database()
    log = AuditLog(url)
    log.append(ended(1))
    server.stop()
    with pytest.raises(AuditUnavailable):
        log.append(ended(2))
    with pytest.raises(AuditUnavailable):
        AuditLog(url).verify()
    server.start()
    assert log.append(ended(2)).seq == 2
    assert log.verify().ok


def test_a_password_shows_in_neither_repr_nor_error() -> None:
    log = AuditLog("postgresql://me:hidden-word@127.0.0.1:1/audit")
    assert "hidden-word" not in repr(log)
    with pytest.raises(AuditUnavailable) as caught:
        log.append(ended(1))
    assert "hidden-word" not in f"{caught.value} {caught.value.__cause__!r}"


def test_asking_whether_there_is_an_audit_makes_none(tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path / 'folder' / 'audit.sqlite'}")
    assert not log.is_there()
    assert list(tmp_path.iterdir()) == []
    log.append(ended(1))
    assert log.is_there()
