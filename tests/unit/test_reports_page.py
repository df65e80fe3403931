"""docs/reports.md names every key of the two documents whose shape it promises."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.reporting.document import STANDING, standing_document
from orchestrator.reporting.report import REPORT, make_report
from orchestrator.reporting.standing import Standing
from orchestrator.settings import Settings
from tests.unit.test_run_reports import Records, begin, records, settings, work
from workflows.progress import combine
from workflows.run import Phase, RunState, RunStatus

__all__ = ["records", "settings"]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


def a_standing() -> Standing:
    status = RunStatus(run="archive-1", policy="archive", state=RunState.RUNNING, phase=Phase.WORK, started=NOW)
    return Standing(progress=combine(status, (), (), NOW), at=NOW)


def promised(name: str) -> set[str]:
    """The keys that the table below the heading of a shape has in its first column."""
    section = PAGE.read_text().split(f"`{name}`\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def test_of_where_a_run_stands() -> None:
    assert promised(STANDING) == {*standing_document(a_standing()), "jobs"}


def test_of_a_report(settings: Settings, records: Any) -> None:
    assert isinstance(records, Records)
    begin(records)
    work(records)
    assert promised(REPORT) == {*make_report(settings, "archive-1", a_standing())}
