"""An applied version is a number, a document that stays as it was, and who applied it."""

from pathlib import Path

import pytest

from activities.ledger.log import AuditLog
from activities.storage import open_storage
from orchestrator.catalog import LoadedPolicy, read_policy
from orchestrator.versions import Version, VersionError, Versions

TEXT = "version: 1\nname: nightly\nsite: london\nselect: {{from: {{space: p}}}}\nrun: {{workflow: {}}}\n# a remark\n"


def loaded(workflow: str = "migrate") -> LoadedPolicy:
    return read_policy(TEXT.format(workflow).encode(), "nightly.yaml")


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}"), open_storage(tmp_path / "store"))


def add(versions: Versions, number: int, workflow: str = "migrate", actor: str = "ann") -> Version:
    return versions.add(loaded(workflow), number, actor=actor, reason="why")


def test_the_document_comes_back_as_it_was_written(versions: Versions) -> None:
    version = add(versions, 1)
    assert versions.read(version) == loaded().source
    assert versions.policy(version) == loaded().policy
    assert versions.current() == {"nightly": version}


def test_the_history_has_every_change_and_the_current_ones_only_the_last(versions: Versions) -> None:
    add(versions, 1)
    second = add(versions, 2, "premigrate")
    assert [one.number for one in versions.history("nightly")] == [1, 2]
    assert versions.current() == {"nightly": second}
    removal = versions.remove("nightly", 3, actor="bob", reason="done with it")
    assert versions.current() == {}
    assert versions.newest("nightly") == removal
    assert removal.removed


def test_a_number_is_taken_once(versions: Versions) -> None:
    add(versions, 1)
    with pytest.raises(VersionError, match="ann changed `nightly` meanwhile"):
        add(versions, 1, "premigrate", actor="bob")
    with pytest.raises(VersionError, match="ann changed `nightly` meanwhile"):
        add(versions, 1, actor="bob")


def test_the_same_document_is_applied_again_under_a_new_number(versions: Versions) -> None:
    first, _, third = add(versions, 1), add(versions, 2, "premigrate"), add(versions, 3)
    assert (third.digest, third.source) == (first.digest, first.source)


def test_a_document_that_was_changed_in_the_storage_is_refused(versions: Versions, tmp_path: Path) -> None:
    version = add(versions, 1)
    (tmp_path / "store" / str(version.source)).write_text("version: 1\n")
    with pytest.raises(VersionError, match="was changed in the storage"):
        versions.read(version)


def test_a_document_that_is_gone_is_said(versions: Versions, tmp_path: Path) -> None:
    version = add(versions, 1)
    (tmp_path / "store" / str(version.source)).unlink()
    with pytest.raises(VersionError, match="is not in the storage"):
        versions.read(version)
