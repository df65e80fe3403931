"""Reports of runs, out of a real audit and a real storage: they add up, say who said what, and are safe to look at."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from orchestrator.reporting.html import to_html
from orchestrator.reporting.markdown import to_markdown
from orchestrator.reporting.plot import sparkline, svg
from orchestrator.reporting.report import NoStory, make_report
from orchestrator.reporting.story import MOST_BINS, Throughput
from orchestrator.settings import Settings, load_settings

HOSTILE = '</td><script>alert("x")</script> | `code` [a](http://evil) **b** \u202e\x1b[31m\n# title &amp;'
RUN = "archive-1"
COUNTS: dict[str, Any] = {"done": 8, "skipped": {"changed": 1}, "failed": {}, "cancelled": 0, "quarantined": 0}


class Records:
    """Writes the records of one run."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._count = 0

    def write(self, event: str, actor: str = "engine", **body: Any) -> None:
        """Write one."""
        self._count += 1
        self._log.append(AuditRecord(event=event, actor=actor, run=RUN, key=f"{RUN}/{self._count}", body=body))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(state_dir=tmp_path / "state")


@pytest.fixture
def records(settings: Settings) -> Any:
    settings.state_dir.mkdir(parents=True)
    log = AuditLog(settings.audit.get_secret_value())
    yield Records(log)
    log.close()


def begin(records: Records, reason: str = "nightly") -> None:
    records.write(
        "run.started", "ann", policy="archive", policy_digest="p" * 64, version=3, site="london", reason=reason
    )
    plan = {"digest": "d" * 64, "policy_digest": "p" * 64, "files": 10, "bytes": 1000, "batches": 1, "passed_over": {}}
    records.write("plan.made", policy="archive", **plan, rules=[{"name": "media", "files": 10, "bytes": 1000}])


def work(records: Records, said: str = "") -> None:
    records.write("round.started", number=1, manifest="m", files=10, batches=1)
    claim = {"site": "london", "workflow": "migrate", "job": 7, "round": 1, "batch": 0, "files": 10, "bytes": 1000}
    records.write("job.submitted", **claim, batch_digest="b")
    records.write("run.paused", "bob", reason=said or "too loud", freeze=None)
    records.write("run.resumed", "bob", reason="", lifted=["bob"], still=None)
    counts = {**COUNTS, "failed": {"timeout": 1}, "bytes_done": 800}
    ended = {"site": "london", "job": 7, "round": 1, "batch": 0, "state": "PARTIAL", "files": 10}
    records.write("job.ended", **ended, counts=counts)


def end(records: Records, outcomes: dict[str, Any], state: str = "failed", trouble: str | None = None) -> None:
    now = datetime.now(UTC).isoformat()
    body = {"policy": "archive", "version": 3, "state": state, "outcomes": outcomes, "outcomes_digest": "o" * 64}
    records.write("run.ended", **body, jobs=1, trouble=trouble, started=now, finished=now)


def test_a_report_adds_up_and_tells_what_happened_and_who_said_so(settings: Settings, records: Records) -> None:
    begin(records)
    records.write("approval.wanted", digest="d" * 64, files=10, bytes=1000, why="it is destructive")
    records.write("plan.approved", "eve", digest="d" * 64, reason="looked at it")
    work(records)
    end(records, {**COUNTS, "failed": {"timeout": 1}, "bytes_done": 800})
    report = make_report(settings, RUN)
    assert report["reconciliation"]["line"] == "10 planned = 8 done + 1 skipped + 1 failed: adds up"
    assert (report["state"], report["policy"], report["version"], report["actor"]) == ("failed", "archive", 3, "ann")
    assert [(one["actor"], one["event"], one["why"]) for one in report["changes"]] == [
        ("bob", "run.paused", "too loud"),
        ("bob", "run.resumed", ""),
    ]
    assert [(one["actor"], one["why"]) for one in report["approvals"]] == [
        ("engine", "it is destructive"),
        ("eve", "looked at it"),
    ]
    assert report["slowest_jobs"][0]["job"] == 7
    assert report["jobs"] == {"ended": 1, "states": {"PARTIAL": 1}}
    assert sum(one["files"] for one in report["throughput"]["bins"]) == 8
    assert report["errors"] == [{"reason": "timeout", "message": "", "files": 1, "examples": []}]
    assert (report["audit"]["first"], report["audit"]["records"]) == (1, 10)
    for shown in (to_markdown(report), to_html(report)):
        assert all(word in shown for word in ("adds up", "too loud", "looked at it", "media", "o" * 64, "d" * 64))


def test_an_account_that_does_not_add_up_says_by_how_much(settings: Settings, records: Records) -> None:
    begin(records)
    work(records)
    end(records, {**COUNTS, "bytes_done": 800})
    account = make_report(settings, RUN)["reconciliation"]
    assert (account["adds_up"], account["difference"]) == (False, 1)
    assert account["line"].endswith("does not add up: 1 has no outcome")
    assert 'class="account bad"' in to_html(make_report(settings, RUN))


def test_an_open_run_has_a_report_too(settings: Settings, records: Records) -> None:
    begin(records)
    work(records)
    report = make_report(settings, RUN)
    assert (report["final"], report["finished"]) == (False, None)
    assert report["reconciliation"]["left"] == 10, "nobody was asked where it stands"
    assert "so far" in to_markdown(report)


def test_a_refused_run_moved_nothing(settings: Settings, records: Records) -> None:
    begin(records)
    records.write("run.refused", why="the plan holds 10 files, guards.max_files allows 5")
    end(records, {**COUNTS, "done": 0, "skipped": {}, "bytes_done": 0}, "refused", "too many")
    report = make_report(settings, RUN)
    assert report["reconciliation"]["line"] == "10 planned, none sent: nothing began"
    assert report["reconciliation"]["adds_up"]
    assert "allows 5" in to_markdown(report)


def test_an_unknown_run_has_no_report(settings: Settings, records: Records) -> None:
    with pytest.raises(NoStory, match="runs list"):
        make_report(settings, "no-such-run")


class Tags(HTMLParser):
    """Collects every tag and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_hostile_names_and_messages_are_text_in_every_format(settings: Settings, records: Records) -> None:
    begin(records, HOSTILE)
    work(records, HOSTILE)
    end(records, {**COUNTS, "failed": {"timeout": 1}, "bytes_done": 800}, trouble=HOSTILE)
    report = make_report(settings, RUN)
    report["errors"] = [{"reason": "timeout", "message": HOSTILE, "files": 1, "examples": [f"/mmfs1/{HOSTILE}"]}]
    assert json.loads(json.dumps(report))["errors"][0]["examples"] == [f"/mmfs1/{HOSTILE}"]
    page, text = to_html(report), to_markdown(report)
    tags = Tags(page)
    assert "script" not in tags.tags and "a" not in tags.tags
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("href", "src")]
    for shown in (page, text):
        assert not {"\u202e", "\x1b"} & set(shown)
    assert not re.search(r"(?<!\\)<(?!br>)", text), "no tag but a new line of ours"
    assert not re.search(r"(?<!\\)[`*\[]", re.sub(r"```text\n.*\n```", "", text))
    assert "http\\://evil" in text
    rows = [one for one in text.splitlines() if one.startswith("| 1 | timeout")]
    assert len(rows) == 1 and len(re.findall(r"(?<!\\)\|", rows[0])) == 5, "no cell breaks out of its row"


def test_a_page_fetches_nothing(settings: Settings, records: Records) -> None:
    begin(records)
    work(records)
    page = to_html(make_report(settings, RUN))
    assert "default-src 'none'" in page
    assert not re.search(r"(?i)https?://|url\(|@import|<link|<script|<img", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_the_bins_of_a_long_run_are_few_and_lose_nothing() -> None:
    throughput = Throughput()
    for minute in range(60 * 24 * 14):
        throughput.add(1e9 + minute * 60, 2, 20, 1)
    bins = throughput.bins()
    assert len(bins) <= MOST_BINS
    assert [sum(one[place] for one in bins) for place in (1, 2, 3)] == [40_320, 403_200, 20_160]
    throughput.add(1e9 - 5000, 1, 1, 0)
    assert sum(one[1] for one in throughput.bins()) == 40_321


def test_the_picture_shows_every_bin_and_the_idle_time() -> None:
    at = "2026-05-01T10:00:00+00:00"
    bins = [{"at": at, "files": files, "bytes": files, "failed": 0} for files in (8, 0, 4)]
    assert sparkline({"bin_s": 1.0, "bins": bins}) == "█·▄"
    drawn = svg({"bin_s": 1.0, "bins": bins})
    assert drawn.count("M") == 2
    assert svg({"bin_s": 1.0, "bins": []}) == ""
