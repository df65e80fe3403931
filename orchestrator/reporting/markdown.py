"""A report as Markdown; names and messages are escaped, so that they are text and nothing else."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.reporting import figures
from orchestrator.reporting.plot import sparkline
from orchestrator.reporting.sections import Section, Table, sections

_MARKS = re.compile(r"([\\`*_{}\[\]<>|~&$])")
_AT_THE_START = re.compile(r"^(\s*)([#+=-]|\d+[.)](?=\s))")
_LINKS = re.compile(r"(?i)\b(www)\.|\b(https?|ftp):")


def to_markdown(report: dict[str, Any]) -> str:
    """Write the report."""
    return markdown_page(f"Run {report['run_id']}", sections(report), report)


def markdown_page(title: str, parts: Iterable[Section], report: dict[str, Any]) -> str:
    """Write these sections of a report."""
    lines = [f"# {_text(title)}", ""]
    for section in parts:
        lines += _section(section, report)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section, report: dict[str, Any]) -> Iterable[str]:
    if section.title:
        yield from (f"## {section.title}", "")
    if section.plot:
        throughput = report["throughput"]
        line = sparkline(throughput)
        if line:
            group = -(-len(throughput["bins"]) // 60)
            each = figures.span(group * throughput["bin_s"])
            yield from ("```text", line, "```", "", f"Files over time; each block is {each}.", "")
    for text in section.lines:
        yield from (_text(text), "")
    if section.table is not None:
        yield from _table(section.table)
        yield ""


def _table(table: Table) -> Iterable[str]:
    yield _row(table.columns)
    yield "|" + "|".join(" ---: " if right else " --- " for right in table.right) + "|"
    for row in table.rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_text, cells)) + " |"


def _text(text: str) -> str:
    """Escape what Markdown or the HTML in it could take for more than text; a new line in a cell stays one."""
    return "<br>".join(map(_escaped, text.split("\n")))


def _escaped(text: str) -> str:
    escaped = _MARKS.sub(r"\\\1", text)
    # A link that nobody wrote: "www." and "http:" become one without any marks.
    escaped = _LINKS.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], escaped)
    return _AT_THE_START.sub(lambda found: found[1] + found[2][:-1] + "\\" + found[2][-1], escaped)
