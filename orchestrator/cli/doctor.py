"""`doctor`: what is reachable, which versions, clocks and disk, and what to do about what is not well."""

from typing import Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.endings import Ending

_MARKS = {"ok": ("green", "ok  "), "warn": ("yellow", "warn"), "fail": ("red", "fail")}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at everything this product needs, and say what to do about what is not well."""
    import asyncio

    from orchestrator.settings import Settings, load_settings
    from orchestrator.stack import StackFile, running_settings, temporal_is_configured

    given = load_settings()
    stack = StackFile.read(given)
    settings: Settings = running_settings(given)
    embedded = settings.temporal_address is None and not temporal_is_configured(settings)

    async def look() -> list[dict[str, str]]:
        from orchestrator.health import examine

        findings = []
        async for one in examine(settings, embedded=embedded, local_hub=settings.hub_url is None):
            findings.append({"about": one.about, "health": one.health, "found": one.found, "advice": one.advice})
            if not as_json:
                colour, mark = _MARKS[one.health]
                show.out().print(f"[{colour}]{mark}[/]  [bold]{one.about:<9}[/] ", end="")
                show.say(one.found)
                if one.advice:
                    show.say(f"{'':16}{one.advice}", style=colour)
        return findings

    if not as_json and stack is not None and stack.alive():
        show.note(f"`orchestrator {stack.command}` runs here (process {stack.owner[0]}).")
    findings = asyncio.run(look())
    failed = any(one["health"] == "fail" for one in findings)
    if as_json:
        show.document({"healthy": not failed, "findings": findings})
    if failed:
        raise typer.Exit(Ending.UNREACHABLE)
