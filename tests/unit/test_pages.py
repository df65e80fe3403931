"""The rules behind the dashboard's pages."""

import asyncio
from datetime import UTC, datetime

import pytest

from activities.ledger.records import Stored
from orchestrator.catalog import load_policy
from orchestrator.web.pages.fresh import Fresh
from orchestrator.web.pages.policies import highlighted, week
from orchestrator.web.pages.pools import drains_of
from orchestrator.web.pages.run import bar_of
from orchestrator.web.pages.sign_in import onward
from orchestrator.web.pages.words import body, state
from workflows.plan import OutcomeCounts

WEEKLY = """\
version: 1
name: weekly
site: london
triggers:
  - schedule: {cron: "30 1 * * *", timezone: Europe/Berlin, dst: {overlap: both}}
select: {from: {space: projects}, paths: [/mmfs1/a], rules: [{name: all, match: {type: [mov]}}]}
run: {workflow: migrate}
"""


async def test_many_who_look_at_once_share_one_question() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.02)
        return asked

    fresh = Fresh(ask, fresh=60, stale=60)
    assert await asyncio.gather(*(fresh.get() for _ in range(20))) == [1] * 20
    fresh.forget()
    assert await fresh.get() == 2


async def test_a_slow_new_answer_makes_nobody_wait_for_what_is_known() -> None:
    gate, asked = asyncio.Event(), 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        if asked == 2:
            await gate.wait()
        return asked

    fresh = Fresh(ask, fresh=0, stale=60)
    assert [await fresh.get(), await fresh.get(), await fresh.get()] == [1, 1, 1]
    gate.set()
    await asyncio.sleep(0.01)
    assert await fresh.get() == 2
    await fresh.close()


async def test_an_error_is_told_to_whoever_waits_and_not_kept() -> None:
    async def ask() -> int:
        raise ValueError("not now")

    fresh = Fresh(ask, fresh=60, stale=60)
    for _ in range(2):
        with pytest.raises(ValueError, match="not now"):
            await fresh.get()


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\n/evil.example", "", None, "/sign-out", "x"],
)
def test_a_sign_in_leads_to_no_other_site(address: str | None) -> None:
    assert onward(address) == "/"


def test_a_sign_in_leads_back_to_the_page_that_asked_for_it() -> None:
    assert onward("/runs/a-1?state=failed") == "/runs/a-1?state=failed"


def test_the_parts_of_a_bar_lie_side_by_side_and_never_beyond_its_end() -> None:
    counts = OutcomeCounts(done=700, skipped={"busy": 100}, failed={"unknown": 150}, cancelled=30, quarantined=20)
    bar = bar_of(counts, 1000, final=True)
    assert [(part.kind, part.x, part.width) for part in bar.parts] == [
        ("done", 0, 700), ("skipped", 700, 100), ("failed", 800, 150), ("quarantined", 950, 20), ("cancelled", 970, 30),
    ]  # fmt: skip
    assert bar.percent == 100 and bar_of(counts, 1000, final=False).settled == 850


def test_the_week_shows_the_hour_that_comes_twice_on_its_day() -> None:
    policy = load_policy(WEEKLY.replace("30 1", "30 2").encode(), "weekly.yaml")
    days = week(policy, datetime(2026, 10, 22, 12, tzinfo=UTC))
    assert [len(day.starts) for day in days] == [0, 1, 1, 2, 1, 1, 1]
    twice = days[3]
    assert str(twice.day) == "2026-10-25" and [one.time.at.hour for one in twice.starts] == [0, 1]


def test_what_a_document_says_cannot_leave_its_line() -> None:
    shown = highlighted('name: "<script>alert(1)</script>"\nsite: a & b\n')
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "a &amp; b" in shown
    assert 'id="line-2"' in shown


def test_a_drain_lasts_from_its_first_tranche_to_its_end() -> None:
    def decided(minute: int, act: str) -> Stored:
        at = f"2026-11-01T10:{minute:02d}:00.000000Z"
        return Stored(
            seq=minute, at=at, actor="engine", run=None, event="pool.decided", key=str(minute),
            body={"act": act, "policy": "p"}, prev_hash="", hash="",
        )  # fmt: skip

    acts = ["drain", "settle", "drain", "end", "drain", "block", "drain"]
    drains = drains_of([decided(minute, act) for minute, act in enumerate(acts)])
    assert [(one.start.minute, one.end and one.end.minute) for one in drains] == [(0, 3), (4, 5), (6, None)]


def test_a_state_is_told_by_a_word_and_an_icon_never_by_its_colour_alone() -> None:
    for word in ("succeeded", "failed", "paused", "running", "a word that nobody knows"):
        shown = state(word)
        assert word in shown and "<svg" in shown and 'aria-hidden="true"' in shown


def test_a_records_body_is_told_on_one_harmless_line() -> None:
    said = body({"bytes": 3 << 30, "why": "a\x1b[31m\nb", "none": None, "until": "2026-11-01T10:00:00.123456Z"})
    assert said == "bytes 3.0 GiB · why a\\x1b[31m\\nb · until 2026-11-01 10:00:00 UTC"
