"""`runs retry-failed`: the failed files of a run are tried again, in this run while it is open, else in a new one."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, RunArgument
from orchestrator.cli.connected import connected
from orchestrator.cli.runs import named

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.retrying import Retry
    from orchestrator.stack import Stack

retrying = typer.Typer()
"""Its command belongs to `runs`."""


@retrying.command("retry-failed")
def retry_failed(
    run: RunArgument = "latest",
    error: Annotated[
        str, typer.Option(metavar="TEXT", help="Only those with this reason, or with this text in their message.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which files that would be.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Try the failed files of a run again: while it is open in a further round of it, afterwards in a new run.

    The new run takes exactly these files and asks for an approval as its policy says. What is in quarantine stays
    there until it is released.
    """
    from orchestrator.reporting.progress import watch_run
    from orchestrator.retrying import failed_files, try_again
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    async def act(client: "Client", stack: "Stack") -> "Retry":
        name = await named(client, run, stack.settings)
        if dry_run:
            return await failed_files(client, stack.settings, name, error=error)
        found = await try_again(client, stack.settings, name, actor=show.actor(), reason=reason, error=error)
        if not found.is_open and found.begun is not None and WORKER in stack.owned:
            show.note(f"{found.begun} runs with this command: nothing else works here.")
            async for _ in watch_run(client, found.begun):
                pass
        return found

    with Stack(load_settings(), TEMPORAL, HUB, WORKER, tell=show.note) as stack:
        found = asyncio.run(connected(stack, act))
    if as_json:
        show.document({"run_id": found.run, "is_open": found.is_open, "files": found.files,
                       "quarantined": found.aside, "retried_in": found.begun})  # fmt: skip
        return
    show.say(_said(found, dry_run=dry_run))
    if found.aside:
        show.note(f"{show.counted(found.aside, 'file')} in quarantine stay there: `orchestrator quarantine release`.")


def _said(found: "Retry", *, dry_run: bool) -> str:
    files = sum(found.files.values())
    if not files and dry_run:
        return (
            f"{found.run} is open: no such file failed so far."
            if found.is_open
            else f"{found.run}: no such file failed."
        )
    reasons = ", ".join(f"{show.number(number)} {reason}" for reason, number in sorted(found.files.items()))
    what = show.counted(files, "failed file") + (f" ({reasons})" if reasons else "")
    if found.is_open:
        where = f"in a further round of {found.run}, which is open, behind the round that is on"
        return f"{what} so far: would go {where}." if dry_run else f"{what} so far: they go {where}."
    if dry_run:
        return f"{found.run} has ended: {what} would go into a new run."
    return f"{found.run} has ended: {what} are tried again in the new run {found.begun}."
