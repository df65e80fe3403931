"""A hold stands until somebody lifts it, and covers just what it says."""

from pathlib import Path

import pytest

from activities.holds import Holds, held_by
from activities.ledger.log import AuditLog


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(AuditLog(f"sqlite:///{tmp_path / 'audit.sqlite'}"))


def test_asking_makes_no_database(holds: Holds, tmp_path: Path) -> None:
    assert holds.standing() == []
    assert list(tmp_path.iterdir()) == []


def test_a_pause_covers_its_policy_alone(holds: Holds) -> None:
    holds.put("pause", actor="ann", reason="lunch", key="1", policy="nightly")
    assert str(held_by(holds.standing(), "nightly", "london", {})).startswith("ann paused policy nightly at ")
    assert held_by(holds.standing(), "other", "london", {}) is None


@pytest.mark.parametrize(
    ("site", "label", "covered"),
    [
        (None, None, True),
        ("london", None, True),
        ("paris", None, False),
        (None, ("tier", "cold"), True),
        (None, ("tier", "hot"), False),
        ("london", ("tier", "cold"), True),
        ("london", ("tier", "hot"), False),
    ],
)
def test_a_freeze_covers_its_site_and_label(
    holds: Holds, site: str | None, label: tuple[str, str] | None, covered: bool
) -> None:
    holds.put("freeze", actor="ann", reason="fire", key="1", site=site, label=label)
    assert (held_by(holds.standing(), "nightly", "london", {"tier": "cold"}) is not None) is covered


def test_a_policy_of_several_sites_is_held_when_one_of_them_is(holds: Holds) -> None:
    holds.put("freeze", actor="ann", reason="fire", key="1", site="london")
    assert held_by(holds.standing(), "nightly", None, {}) is not None


def test_lifting_one_hold_leaves_the_others(holds: Holds) -> None:
    first = holds.put("freeze", actor="ann", reason="fire", key="1")
    second = holds.put("freeze", actor="bob", reason="water", key="2")
    holds.lift(first, actor="ann", reason="out")
    holds.lift(first, actor="ann", reason="out")
    assert holds.standing() == [second]


def test_a_hold_is_set_once_under_its_key(holds: Holds) -> None:
    assert holds.put("freeze", actor="ann", reason="fire", key="1") == holds.put(
        "freeze", actor="ann", reason="fire", key="1"
    )
    assert len(holds.standing()) == 1
