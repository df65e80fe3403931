"""`approve` and `reject`: a person's word on exactly the plan that a run waits with."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, RunArgument
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from temporalio.client import Client

    from workflows.run import RunStatus

DigestOption = Annotated[
    str | None,
    typer.Option("--digest", metavar="DIGEST", help="The plan's digest, or its first 12 characters or more."),
]


def approve(
    run: RunArgument = "latest", digest: DigestOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Approve the plan that a run waits with; it does exactly this plan, or nothing."""
    _decide(run, digest, reason, approved=True, as_json=as_json)


def reject(
    run: RunArgument = "latest", digest: DigestOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Reject the plan that a run waits with: the run ends refused, and nothing has moved."""
    if not reason:
        raise Refusal("say why, for the audit and for whoever started the run: --reason '...'")
    _decide(run, digest, reason, approved=False, as_json=as_json)


def _decide(run: str, digest: str | None, reason: str, *, approved: bool, as_json: bool) -> None:
    from orchestrator.cli.runs import named
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    async def ask(stack: Stack) -> "RunStatus":
        from orchestrator.runs import decide
        from orchestrator.temporal import connect

        client = await connect(stack.settings)
        name = await named(client, run, stack.settings)
        about = digest or await _looked_at(client, name, approved=approved)
        async with asyncio.timeout(60):
            return await decide(client, name, actor=show.actor(), reason=reason, digest=about, approved=approved)

    with Stack(load_settings(), TEMPORAL, HUB, WORKER, tell=show.note) as stack:
        try:
            status = asyncio.run(ask(stack))
        except TimeoutError:
            raise Refusal("no worker answered in 60 s; `orchestrator doctor` shows whether one runs") from None
        if as_json:
            show.document(
                {"run_id": status.run, "state": str(status.state), "approved": approved, "trouble": status.trouble}
            )
        else:
            _print(status, approved=approved)
    if approved and status.trouble is not None:
        raise typer.Exit(Ending.ENDED_BADLY)


async def _looked_at(client: "Client", run: str, *, approved: bool) -> str:
    """Give the digest of the plan that waits; to approve it takes a second look, with the digest in hand."""
    from orchestrator.runs import run_status

    status = await run_status(client, run)
    wanted = status.approval
    if wanted is None:
        raise Refusal(f"run {run} waits for no approval: it is {status.state}")
    if approved:
        raise Refusal(
            f"{run} waits with {show.counted(wanted.files, 'file')}, {show.size(wanted.bytes)}, since {wanted.why}.\n"
            f"To approve exactly this plan:\n  orchestrator approve {run} --digest {wanted.digest}"
        )
    return wanted.digest


def _print(status: "RunStatus", *, approved: bool) -> None:
    if not approved:
        show.say(f"{status.run}: rejected, nothing has moved.")
    elif status.trouble is not None:
        show.say(f"{status.run}: refused: {status.trouble}.", style="red")
    else:
        show.say(f"{status.run}: approved, {status.state}.", style="green")
        show.note(f"`orchestrator runs watch {status.run}` stays with it.")
