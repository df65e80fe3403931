"""What happened to a file, over all runs: planned, sent, ended, set aside, released."""

from datetime import timedelta
from pathlib import Path

import pytest

from activities.audit import AuditLog, Event
from activities.outcomes import FileException, write_skips
from activities.quarantine import Failure, Quarantine, Which, digest_of
from activities.storage import DirectoryStorage, open_storage
from orchestrator.auditing.files import _Look, history_of
from orchestrator.auditing.proof import prove
from orchestrator.releasing import release
from orchestrator.settings import Settings, load_settings
from tests.e2e.audit_runs import Keeper

PATHS = [f"/a/{number}" for number in range(6)]
HARD = "/a/it's \udcff [x]*.dat"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Three runs that ended, one whose plan was rejected, one that is open, and one whose table is damaged."""
    settings = load_settings(state_dir=tmp_path_factory.mktemp("state"))
    log, storage = AuditLog(settings.audit.get_secret_value()), open_storage(settings.storage)
    assert isinstance(storage, DirectoryStorage)
    keeper = Keeper(log, storage, settings.spill_dir)
    keeper.run("p-1", [*PATHS, HARD], {"/a/1": "busy", "/a/2": "checksum"}, approver="bob@host")
    keeper.run("p-2", PATHS[:2])
    keeper.run("p-3", PATHS[2:4])
    keeper.begin("p-4", ["/a/1", "/a/9"])
    keeper.tell("p-4", Event.PLAN_REJECTED, actor="bob@host", digest="d", reason="not this month")
    open_plan = keeper.begin("p-5", ["/a/1", "/a/8"])
    round_ = {"number": 1, "manifest": open_plan.manifest, "files": 2, "batches": 1}
    keeper.tell("p-5", Event.ROUND_STARTED, 1, **round_)
    write_skips(storage, "p-5", 1, 0, [FileException(0, "skipped", "changed", "it was written to")])
    keeper.run("p-6", ["/a/7"])
    (storage.root / "runs/p-6/outcomes.parquet").write_bytes(b"no table")
    log.close()
    return settings


def test_a_file_is_followed_through_all_runs_in_their_order(settings: Settings) -> None:
    found = history_of(settings, "/a/1")
    assert [one.run for one in found.runs] == ["p-1", "p-2", "p-4", "p-5"]
    assert (found.looked_at, found.runs_in_all, found.unread) == (6, 4, ["p-6"])
    first, second, rejected, still_open = found.runs
    assert (first.outcome, first.rule, first.version, first.started_by) == ("done", "default", 1, "schedule")
    assert [(one.round, one.outcome, one.reason) for one in first.tries] == [(1, "failed", "busy"), (2, "done", None)]
    assert [one.job for one in first.tries] == [101, 103]
    assert all(one.sent and one.ended and one.state for one in first.tries)
    assert [(word.event, word.actor) for word in first.words] == [("plan.approved", "bob@host")]
    assert (second.outcome, len(second.tries)) == ("done", 1)
    assert (rejected.outcome, rejected.tries, rejected.words[0].body["reason"]) == (None, [], "not this month")
    (attempt,) = still_open.tries
    assert (still_open.outcome, attempt.job, attempt.outcome, attempt.reason) == (None, None, "skipped", "changed")


def test_an_outcome_comes_with_the_words_of_the_hub(settings: Settings) -> None:
    first, later = history_of(settings, "/a/2").runs
    assert (first.outcome, first.reason, first.message) == ("failed", "checksum", "the Hub said checksum")
    assert (later.run, later.outcome) == ("p-3", "done")


def test_any_name_is_found_by_its_exact_bytes_and_no_other_is(settings: Settings) -> None:
    assert [one.run for one in history_of(settings, HARD).runs] == ["p-1"]
    for other in ("/a/it's", "/a/%", "/A/1", "/a/1/", "/a", "' OR true --"):
        assert history_of(settings, other).runs == []


def test_a_site_and_a_number_of_runs_narrow_the_look(settings: Settings) -> None:
    assert history_of(settings, "/a/1", "paris").looked_at == 0
    found = history_of(settings, "/a/1", "london", most=1)
    assert ([one.run for one in found.runs], found.runs_in_all) == (["p-5"], 4)
    heard: list[tuple[int, int]] = []
    history_of(settings, "/a/1", tell=lambda looked_at, of: heard.append((looked_at, of)))
    assert heard == [(0, 6), (6, 6)]


def test_the_quarantine_and_releases_from_it_belong_to_the_story(tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path)
    log, storage = AuditLog(settings.audit.get_secret_value()), open_storage(settings.storage)
    assert isinstance(storage, DirectoryStorage)
    keeper = Keeper(log, storage, settings.spill_dir)
    quarantine = Quarantine(settings.quarantine.get_secret_value())
    quarantine.count(("p-1", 2, 0), "london", [Failure("/a/1", "checksum", "bad")], after=1, lasting=timedelta(days=9))
    before = {"site": "london", "files": 1, "digest": digest_of(["/a/1"]), "why": "released by a person", "reason": ""}
    keeper.tell(None, Event.QUARANTINE_RELEASED, 0, actor="eve@host", **before)
    keeper.run("p-1", ["/a/1", "/a/2"], {"/a/1": "quarantined"})
    for number, paths in enumerate((["/a/1", "/a/5"], ["/a/1"]), 1):
        said = {**before, "files": len(paths), "digest": digest_of(paths)}
        keeper.tell(None, Event.QUARANTINE_RELEASED, number, actor="ann@host", **said)
    release(quarantine, log, Which(paths=("/a/1",)), actor="bob@host", reason="mended")
    quarantine.count(("p-9", 1, 0), "london", [Failure("/a/1", "checksum", "bad")], after=1, lasting=timedelta(days=9))
    quarantine.count(("p-9", 1, 1), "london", [Failure("/a/7", "checksum", "bad")], after=1, lasting=timedelta(days=9))
    release(quarantine, log, Which(paths=("/a/7",)), actor="bob@host", reason="of another file")
    found = history_of(settings, "/a/1")
    said = [(one.certain, one.record.actor) for one in found.releases]
    assert said == [(False, "ann@host"), (True, "ann@host"), (True, "bob@host")]
    assert [(one.set_aside, one.reason) for one in found.failing] == [(True, "checksum")]
    assert history_of(settings, "/a/2").releases == []


def test_files_in_an_object_store_are_followed_and_proven_too(tmp_path: Path) -> None:
    settings, storage = load_settings(state_dir=tmp_path), open_storage("memory:///")
    log = AuditLog(settings.audit.get_secret_value())
    keeper = Keeper(log, storage, settings.spill_dir)
    keeper.apply(1)
    keeper.run("p-1", PATHS, {"/a/1": "busy"})
    plan = keeper.begin("p-2", ["/a/1"])
    heard: list[int] = []
    found = _Look(log, storage, settings, "/a/1").look(None, 10, lambda looked_at, of: heard.append(looked_at))
    assert [(one.run, one.outcome, len(one.tries)) for one in found.runs] == [("p-1", "done", 2), ("p-2", None, 0)]
    assert prove(log, storage).ok
    assert not list(settings.spill_dir.rglob("*.parquet")), "copies are gone"
    storage.delete(plan.manifest)
    storage.put("runs/p-1/outcomes.parquet", b"other")
    assert sorted(one.why[:7] for one in prove(log, storage).damages) == ["changed", "missing"]
    log.close()
