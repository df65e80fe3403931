"""A report as one HTML page that fetches nothing; it follows the reader's light or dark setting and prints well."""

from collections.abc import Iterable
from html import escape
from typing import Any

from orchestrator.reporting.plot import svg
from orchestrator.reporting.sections import Section, Table, sections

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --line: #d9dee6; --page: #ffffff; --card: #f6f8fa;
  --done: #2f7dd1; --bad: #c0392b; --good: #1d7f45; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #323a46; --page: #14181e;
  --card: #1b2027; --done: #5aa2ee; --bad: #f0796b; --good: #5fc98a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { margin: .5rem 0; }
.account { font-size: 1.1rem; font-weight: 600; color: var(--good); }
.account.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  white-space: pre-line; }
td:nth-last-child(-n+2), table.facts td { overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
td.figure, th.figure { text-align: right; padding-right: 1.6rem; white-space: nowrap; overflow-wrap: normal; }
table.facts th { width: 9rem; font-size: inherit; font-weight: 400; }
table.facts td, table.facts th { border-bottom: 0; padding-top: .1rem; padding-bottom: .1rem; }
.plot { display: block; width: 100%; height: auto; background: var(--card); border-radius: 6px; margin: .5rem 0; }
.plot .done { fill: var(--done); } .plot .failed { fill: var(--bad); }
.plot .grid { stroke: var(--line); } .plot .axis { fill: var(--soft); font-size: 11px; }
.key { color: var(--soft); font-size: .85rem; } .key b { font-weight: 400; } .key .done { color: var(--done); }
.key .failed { color: var(--bad); }
.state { font-weight: 600; } .succeeded { color: var(--good); } .failed, .refused, .expired { color: var(--bad); }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --card: #fff; --done: #2f7dd1;
  --bad: #a02010; --good: #0a5c2c; } body { max-width: none; padding: 0; font-size: 10pt; }
  tr, .plot { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; }
  .plot .done, .plot .failed { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_html(report: dict[str, Any]) -> str:
    """Write the page."""
    return html_page(f"Run {report['run_id']}", sections(report), report)


def html_page(title: str, parts: Iterable[Section], report: dict[str, Any]) -> str:
    """Write a page of these sections of a report."""
    body = "\n".join(part for section in parts for part in _section(section, report))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _section(section: Section, report: dict[str, Any]) -> Iterable[str]:
    if section.title:
        yield f"<h2>{escape(section.title)}</h2>"
    if section.plot:
        yield svg(report["throughput"])
        yield (
            f'<p class="key">Files a second: <b class="done">&#9632; done</b> <b class="failed">&#9632; failed</b>; '
            f"each bar is {report['throughput']['bin_s']:g} s.</p>"
        )
    account = f"account{' bad' if section.bad else ''}" if section.title == "Account" else ""
    for text in section.lines:
        yield f'<p class="{account}">{escape(text)}</p>' if account else f"<p>{escape(text)}</p>"
    if section.table is not None:
        yield _facts(section.table) if section.table.facts else _table(section.table)


def _facts(table: Table) -> str:
    rows = []
    for name, value in table.rows:
        kind = f' class="state {escape(value)}"' if name == "State" else ""
        rows.append(f'<tr><th scope="row">{escape(name)}</th><td{kind}>{escape(value)}</td></tr>')
    return f'<table class="facts">{"".join(rows)}</table>'


def _table(table: Table) -> str:
    marks = [' class="figure"' if right else "" for right in table.right]
    head = "".join(
        f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(table.columns, marks, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(f"<td{mark}>{escape(cell)}</td>" for cell, mark in zip(row, marks, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
