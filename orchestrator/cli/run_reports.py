"""`runs report`: how a run went, or goes, as a document to keep or to send."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import RunArgument
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.reporting.standing import Standing
    from orchestrator.stack import Stack

Format = Literal["md", "html", "json"]
_SUFFIXES: dict[str, Format] = {".md": "md", ".markdown": "md", ".html": "html", ".htm": "html", ".json": "json"}


def report(
    run: RunArgument = "latest",
    format_: Annotated[
        Format | None, typer.Option("--format", help="Default: what the file's name ends with, or else Markdown.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file; default: to the standard output.")] = None,
) -> None:
    """Report on a run, ended or open: the account, throughput, errors, slowest jobs, approvals, changes, evidence."""
    from orchestrator.cli.connected import with_temporal
    from orchestrator.reporting.html import to_html
    from orchestrator.reporting.markdown import to_markdown
    from orchestrator.reporting.report import NoStory, make_report
    from orchestrator.settings import load_settings

    kind = format_of(format_, out)
    settings = load_settings()
    name, standing = with_temporal(lambda client, stack: _standing(client, stack, run))
    try:
        made = make_report(settings, name, standing)
    except NoStory as error:
        raise Refusal(str(error)) from None
    text = {"md": to_markdown, "html": to_html, "json": _json}[kind](made)
    if out is None:
        show.plain(text.rstrip("\n"))
        return
    out.write_text(text, "utf-8")
    show.say(made["reconciliation"]["line"])
    show.note(f"Written to {out}.")


def format_of(wanted: Format | None, out: Path | None) -> Format:
    """Say in which format a report is wanted, if need be by the ending of its file; raises Refusal."""
    if wanted is not None:
        return wanted
    if out is None:
        return "md"
    found = _SUFFIXES.get(out.suffix.lower())
    if found is None:
        raise Refusal(f"--out {out}: does not say which format: end it with .md, .html or .json, or give --format")
    return found


def _json(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=1) + "\n"


async def _standing(client: "Client", stack: "Stack", run: str) -> tuple[str, "Standing | None"]:
    """Name the run, and say where it stands if it is open and somebody can tell; an ended one may be long forgotten."""
    import asyncio
    from contextlib import closing

    from temporalio.service import RPCError

    from orchestrator.cli.runs import named
    from orchestrator.reporting.standing import Standings
    from orchestrator.runs import RunError
    from orchestrator.stack import TEMPORAL

    name = await named(client, run, stack.settings)
    try:
        described = await client.get_workflow_handle(name).describe()
        if described.close_time is not None or TEMPORAL in stack.owned:
            return name, None
        with closing(Standings(client, stack.settings, name)) as standings:
            async with asyncio.timeout(20):
                return name, await standings.look()
    except (RPCError, RunError, TimeoutError):
        return name, None
