"""`audit report`: who did what in a period, as a document to keep or to send."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.audit_log import moment_of, opened_log
from orchestrator.cli.run_reports import Format, format_of


def report(
    since: Annotated[str, typer.Option(help="From this time on: 2026-05-01T10:00Z, or an age: 30d.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Before this time, or age; default: now.")] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: what the file's name ends with, or else Markdown.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file; default: to the standard output.")] = None,
) -> None:
    """Report on a period: runs, approvals, refusals, policies, what people did, and whether the audit is whole."""
    from activities.storage import open_storage
    from orchestrator.auditing.period import period_report
    from orchestrator.auditing.proof import prove

    kind = format_of(format_, out)
    start, end = moment_of("--since", since), moment_of("--until", until)
    with opened_log() as (log, settings), show.waiting("Reading the audit ..."):
        proof = prove(log, open_storage(settings.storage), settings.public_keys, files=False)
        made = period_report(log, start, end, proof)
    text = _written(made, kind)
    if out is None:
        show.plain(text.rstrip("\n"))
        return
    out.write_text(text, "utf-8")
    show.say(f"{show.counted(made['records'], 'record')}, {show.counted(len(made['runs']), 'run')}. Written to {out}.")


def _written(made: dict[str, Any], kind: Format) -> str:
    from orchestrator.auditing.period import period_sections, period_title
    from orchestrator.reporting.html import html_page
    from orchestrator.reporting.markdown import markdown_page

    if kind == "json":
        return json.dumps(made, indent=1) + "\n"
    write = html_page if kind == "html" else markdown_page
    return write(period_title(made), period_sections(made), made)
