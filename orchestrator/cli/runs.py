"""`runs`: list, show, watch, steer, and the outcome of every file."""

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, RunArgument, catalog_names
from orchestrator.cli.connected import connected, with_temporal
from orchestrator.cli.endings import Refusal
from orchestrator.cli.run_files import files
from orchestrator.cli.run_jobs import jobs
from orchestrator.cli.run_reports import report

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.runs import RunSummary
    from orchestrator.settings import Settings
    from orchestrator.stack import Stack
    from workflows.run import RunReport

_MANY = 1000

app = typer.Typer(
    name="runs",
    help="Runs: list, show, watch, files, jobs, report, pause, resume, cancel, set, retry.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    policy: Annotated[str | None, typer.Option("--policy", help="Only the runs of this policy.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest runs."""
    from orchestrator.runs import list_runs
    from workflows.units import advice

    async def look(client: "Client", stack: "Stack") -> "list[RunSummary]":
        queue = stack.settings.task_queue
        found = await list_runs(client, queue, policy=policy, limit=limit)
        if policy is not None and not found:
            of_runs = {one.policy for one in await list_runs(client, queue, limit=_MANY)}
            known = {*catalog_names(stack.settings), *of_runs}
            if policy not in known:
                raise Refusal(f"There is no policy {policy} and no run of it: {advice(policy, sorted(known))}")
        return found

    found = with_temporal(look)
    if as_json:
        show.document([_summary(one) for one in found])
        return
    if not found:
        show.say(f"No runs{f' of {policy}' if policy else ''} yet. `orchestrator run {policy or 'POLICY'}` starts one.")
        return
    table = show.grid("run", "state", "started", ">took")
    for one in found:
        took = show.span(one.finished - one.started) if one.finished else ""
        table.add_row(one.run, show.state(one.state), show.moment(one.started)[5:16], took)
    show.table(table)


@app.command("show")
def show_(run: RunArgument = "latest", as_json: JsonOption = False) -> None:
    """Show where a run stands, or how it ended."""
    from orchestrator import reports
    from orchestrator.cli.run import missed, print_report
    from orchestrator.cli.standing import print_standing
    from orchestrator.reporting.document import standing_document

    report, standing, name, settings = with_temporal(lambda client, stack: _look(client, stack, run))
    if report is not None:
        if as_json:
            show.document(reports.document(report, reports.jobs_of(settings, report.run)))
        else:
            print_report(report, missed(settings, report))
    elif standing is not None:
        if as_json:
            show.document({**standing_document(standing), "jobs": reports.jobs_of(settings, name)})
        else:
            print_standing(standing)
    elif as_json:
        show.document({"run_id": name, "state": "waiting", "waits_for": "a worker"})
    else:
        show.say(f"{name} is open, but no worker runs here.")
        show.note(f"`orchestrator runs watch {name}` goes on with it; `orchestrator up` does so for good.")


@app.command()
def watch(run: RunArgument = "latest", as_json: JsonOption = False) -> None:
    """Watch a run until it ends; starts what is missing for it on this machine."""
    from orchestrator.cli.run import finish, stay

    async def look(client: "Client", stack: "Stack") -> "RunReport":
        return await stay(client, await named(client, run, stack.settings), stack)

    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    with Stack(load_settings(), TEMPORAL, HUB, WORKER, tell=show.note) as stack:
        finish(stack, asyncio.run(connected(stack, look)), as_json=as_json)


app.command()(files)
app.command()(jobs)
app.command()(report)


async def named(client: "Client", run: str, settings: "Settings") -> str:
    """Give the name of a run; `latest` is the newest. Raises Refusal when there is none."""
    if run != "latest":
        return run
    from orchestrator.runs import list_runs

    newest = await list_runs(client, settings.task_queue, limit=1)
    if not newest:
        raise Refusal("No runs yet. `orchestrator run POLICY` starts one.")
    return newest[0].run


async def _look(client: "Client", stack: "Stack", run: str) -> Any:
    """The report of an ended run, where an open one stands, or neither when nobody works on it."""
    from orchestrator.reporting.standing import Standings
    from orchestrator.runs import run_report
    from orchestrator.stack import TEMPORAL

    name = await named(client, run, stack.settings)
    if await has_ended(client, name):
        return await run_report(client, name), None, name, stack.settings
    if TEMPORAL in stack.owned:
        return None, None, name, stack.settings
    with closing(Standings(client, stack.settings, name)) as standings:
        return None, await standings.look(), name, stack.settings


async def has_ended(client: "Client", run: str) -> bool:
    """Tell whether a run is over; raises Refusal when there is none of this name."""
    from temporalio.service import RPCError, RPCStatusCode

    try:
        return (await client.get_workflow_handle(run).describe()).close_time is not None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise Refusal(f"no run {run}: `orchestrator runs list` shows those there are") from None


def _summary(one: "RunSummary") -> dict[str, Any]:
    return {
        "run_id": one.run,
        "policy": one.policy,
        "state": one.state,
        "actor": one.actor,
        "reason": one.reason,
        "started": show.stamp(one.started),
        "finished": show.stamp(one.finished),
    }
