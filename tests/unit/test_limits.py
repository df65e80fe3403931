"""JobLimits of sites, queues and targets: the last word holds, and one that was read holds while the audit is away."""

from pathlib import Path

import pytest

from activities.audit import AuditLog, AuditUnavailable
from activities.limits import JobLimits, Lane

LONDON, BULK, TAPE = Lane("london"), Lane("london", "bulk"), Lane(target="tape")


@pytest.fixture
def limits(tmp_path: Path) -> JobLimits:
    return JobLimits(AuditLog(f"sqlite:///{tmp_path}/audit.sqlite"))


def test_the_last_word_for_a_site_holds_and_says_who_and_why(limits: JobLimits) -> None:
    assert limits.standing() == ()
    limits.put(Lane("paris"), 9, actor="ann", reason="", key="1")
    limits.put(LONDON, 8, actor="ann", reason="a rebuild", key="2")
    limits.put(LONDON, 4, actor="bob", reason="slower still", key="3")
    limits.put(LONDON, 4, actor="bob", reason="slower still", key="3")
    limits.put(Lane("paris"), None, actor="ann", reason="", key="4")
    [limit] = limits.standing()
    assert str(limit) == "bob allows 4 at a time at site london: slower still"


async def test_a_job_is_under_the_limits_of_its_site_its_queue_and_its_target(limits: JobLimits) -> None:
    for number, lane in enumerate((LONDON, BULK, TAPE, Lane("paris"), Lane("london", "default"))):
        limits.put(lane, 8, actor="ann", reason="", key=str(number))
    found = await limits.on(Lane("london", "bulk", "tape"))
    assert [str(limit.lane) for limit in found] == ["target tape", "site london", "queue bulk of site london"]


async def test_what_was_read_holds_while_the_audit_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("activities.limits.FRESH_FOR", 0.0)
    log = AuditLog(f"sqlite:///{tmp_path}/audit.sqlite")
    limits = JobLimits(log)
    limits.put(LONDON, 8, actor="ann", reason="", key="1")
    read = await limits.on(LONDON)
    log.close()
    for file in sorted(tmp_path.glob("audit.sqlite*")):  # noqa: ASYNC240
        file.unlink()
    (tmp_path / "audit.sqlite").mkdir()
    with pytest.raises(AuditUnavailable):
        limits.standing()
    assert read and await limits.on(LONDON) == read
