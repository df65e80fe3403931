"""Limits of a site: the last word holds, and one that was read holds while the audit is away."""

from pathlib import Path

import pytest

from activities.audit import AuditLog, AuditUnavailable
from activities.site_limits import SiteLimits


@pytest.fixture
def limits(tmp_path: Path) -> SiteLimits:
    return SiteLimits(AuditLog(f"sqlite:///{tmp_path}/audit.sqlite"))


def test_the_last_word_for_a_site_holds_and_says_who_and_why(limits: SiteLimits) -> None:
    assert limits.standing() == {}
    limits.put("paris", 9, actor="ann", reason="", key="1")
    limits.put("london", 8, actor="ann", reason="a rebuild", key="2")
    limits.put("london", 4, actor="bob", reason="slower still", key="3")
    limits.put("london", 4, actor="bob", reason="slower still", key="3")
    limits.put("paris", None, actor="ann", reason="", key="4")
    [limit] = limits.standing().values()
    assert str(limit) == "bob allows 4 at a time at site london: slower still"


async def test_what_was_read_holds_while_the_audit_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("activities.site_limits.FRESH_FOR", 0.0)
    log = AuditLog(f"sqlite:///{tmp_path}/audit.sqlite")
    limits = SiteLimits(log)
    limits.put("london", 8, actor="ann", reason="", key="1")
    read = await limits.at("london")
    log.close()
    for file in sorted(tmp_path.glob("audit.sqlite*")):  # noqa: ASYNC240
        file.unlink()
    (tmp_path / "audit.sqlite").mkdir()
    with pytest.raises(AuditUnavailable):
        limits.standing()
    assert read is not None and await limits.at("london") == read
