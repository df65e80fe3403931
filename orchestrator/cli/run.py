"""`run`: start a policy now, and stay with it until it ends."""

import asyncio
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import (
    AsOfOption,
    JsonOption,
    PolicyArgument,
    ReasonOption,
    SiteOption,
    narrowed,
    read_loaded,
    read_time,
    refuse_wrong,
)
from orchestrator.cli.endings import Ending, Refusal, plain
from orchestrator.cli.standing import print_stages

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.catalog import LoadedPolicy
    from orchestrator.settings import Settings
    from orchestrator.stack import Stack
    from workflows.policy import Policy
    from workflows.run import RunReport
    from workflows.starts import Start

_SILENCE = 120.0
_TOLD_AFTER = 3.0
_LOOK = 2.0


def run(
    policy_name: PolicyArgument,
    wait: Annotated[
        bool | None,
        typer.Option("--wait/--no-wait", help="Stay until the run ends; default where this command starts the worker."),
    ] = None,
    as_json: JsonOption = False,
    site: SiteOption = None,
    as_of: AsOfOption = None,
    reason: ReasonOption = "started by hand",
) -> None:
    """Run a policy now: select, send to the Hub, watch, retry, account for every file."""
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    settings = load_settings()
    found, moment = read_loaded(settings, policy_name), read_time(as_of)
    (checked,) = refuse_wrong([Path(found.document.name)]).values()
    whole = checked.policy
    policy = narrowed(whole, site)
    if not policy.enabled:
        raise Refusal(f"policy {policy.name} is disabled: set `enabled: true` in it first")
    _refuse_future(policy, moment)
    _tell_file(settings, found)
    needs = (TEMPORAL, HUB, WORKER) if wait is not False else (TEMPORAL,)

    async def begin(stack: Stack) -> tuple["Client", "Start"]:
        from orchestrator.runs import ANSWERED_WITHIN, ask_for_run
        from orchestrator.temporal import connect
        from orchestrator.versions import applied_version

        client = await connect(stack.settings)
        start = await ask_for_run(
            client,
            stack.settings,
            policy,
            actor=show.actor(),
            reason=reason,
            as_of=moment,
            version=applied_version(stack.settings, whole),
            within=ANSWERED_WITHIN if WORKER in needs else _LOOK,
        )
        return client, start

    async def begin_and_stay(stack: Stack) -> "RunReport | None":
        from orchestrator.runs import began, until_begun

        client, start = await begin(stack)
        stays = WORKER in stack.owned if wait is None else wait
        if stays and start.state == "queued":
            show.note(f"it waits for its turn: {start.why}")
            start = await until_begun(client, stack.settings, policy.one_site, start)
        name = began(start, policy.name)
        if not stays:
            _tell_name(name, as_json=as_json, works=WORKER in needs)
            return None
        show.note(f"run {name}")
        return await stay(client, name, stack)

    with Stack(settings, *needs, tell=show.note) as stack:
        report = asyncio.run(begin_and_stay(stack))
        if report is not None:
            finish(stack, report, as_json=as_json)


def _tell_file(settings: "Settings", loaded: "LoadedPolicy") -> None:
    """Say which file is run, and whether it is what is applied."""
    from orchestrator.versions import newest_version

    policy, file = loaded.policy, loaded.document.name
    applied = newest_version(settings, policy.name)
    if applied is None:
        show.note(f"policy {policy.name} of {file}, which is not applied")
    elif applied.digest != policy.digest:
        show.note(f"policy {policy.name} of {file}: the file differs from applied version {applied.number}", "yellow")
    else:
        show.note(f"policy {policy.name} of {file}, applied version {applied.number}")


def _refuse_future(policy: "Policy", moment: datetime | None) -> None:
    if moment is not None and moment > datetime.now(UTC):
        then = show.stamp(moment)
        raise Refusal(
            f"--as-of {then}: is in the future, when files will be older than they are: a run would move what is not "
            f"due yet. `orchestrator plan {policy.name} --as-of {then}` shows what is due then."
        )


async def stay(client: "Client", name: str, stack: "Stack", *, kept: bool = True) -> "RunReport":
    """Show a run until it ends, and give its report; explains what becomes of it, if it is kept, when interrupted."""
    watching = asyncio.create_task(_watch(client, name, stack))
    minding = asyncio.create_task(_mind(stack))
    try:
        await asyncio.wait({watching, minding}, return_when=asyncio.FIRST_COMPLETED)
        if minding.done():
            await minding  # A service of ours keeps falling: this raises.
        return await watching
    except asyncio.CancelledError:
        if kept:
            show.note(_interrupted(name, owned=bool(stack.owned)), style=None)
        raise
    finally:
        minding.cancel()
        watching.cancel()


async def _watch(client: "Client", name: str, stack: "Stack") -> "RunReport":
    """Show the run; silence of Temporal or of the worker is waited out, it may be on its way back."""
    from temporalio.service import RPCError, RPCStatusCode

    from orchestrator.cli.progress import live, to_decide
    from orchestrator.reporting.standing import Standings
    from orchestrator.runs import run_report

    silent_since: float | None = None
    told = False
    asked = ""
    standings = Standings(client, stack.settings, name)
    with live() as update, closing(standings):
        while True:
            try:
                async for standing in standings.watch():
                    silent_since, told = None, False
                    update(standing)
                    progress = standing.progress
                    wanted = progress.status.approval
                    if wanted is not None and wanted.digest != asked:
                        asked = wanted.digest
                        show.note(to_decide(progress.status), style=None)
                return await run_report(client, name)
            except RPCError as error:
                # The client's own time-out for one answer comes as CANCELLED.
                if error.status not in (
                    RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED,
                ):  # fmt: skip
                    raise
                silent_since = silent_since or time.monotonic()
                gone = error.status is RPCStatusCode.UNAVAILABLE  # The client has tried again for some ten seconds.
                if not told and (gone or time.monotonic() - silent_since > _TOLD_AFTER):
                    told = True
                    show.note(
                        f"The engine does not answer. The run is kept: it goes on with `orchestrator up`, and "
                        f"`orchestrator runs watch {name}` shows it again.",
                        style="yellow",
                    )
                if time.monotonic() - silent_since > _SILENCE:
                    raise Refusal(
                        f"No answer about {name} for {_SILENCE:.0f} s. The run is kept: "
                        f"`orchestrator doctor` shows what is missing, `orchestrator runs watch {name}` goes on.",
                        Ending.UNREACHABLE,
                    ) from error
                await asyncio.sleep(0.5)


async def _mind(stack: "Stack") -> None:
    while True:
        for fallen in stack.mind():
            show.note(f"{fallen} ended by itself and was started again", style="yellow")
        await asyncio.sleep(0.25)


def finish(stack: "Stack", report: "RunReport", *, as_json: bool) -> None:
    """Print how a run ended; a run that did not succeed ends the command badly."""
    from orchestrator import reports

    if as_json:
        show.document(reports.document(report, reports.jobs_of(stack.settings, report.run)))
    else:
        print_report(report, missed(stack.settings, report))
    if report.state != "succeeded":
        raise typer.Exit(Ending.ENDED_BADLY)


def missed(settings: "Settings", report: "RunReport") -> str | None:
    """Say which attributes were missing, when files were passed over for it."""
    from orchestrator.unknowns import passed_over_line

    return None if report.plan is None else passed_over_line(settings, report.plan)


def print_report(report: "RunReport", unknown: str | None = None) -> None:
    """Print how a run ended, for people."""
    counts, plan = report.outcomes, report.plan
    if show.out().is_terminal:
        show.say()
    show.marked(show.state(report.state), f"{report.run} in {show.span(report.took)}")
    if report.trouble:
        show.say(plain(report.trouble), style="yellow")
    if unknown is not None:
        show.say(unknown, style="yellow")
    if plan is not None and not plan.files:
        show.say("No file was selected: there was nothing to do.", style="yellow")
    lines: dict[str, str] = {} if report.version is None else {"Version": str(report.version)}
    if plan is not None:
        batches = show.counted(plan.batches, "batch", "batches")
        lines["Plan"] = f"{show.counted(plan.files, 'file')}, {show.size(plan.bytes)}, {batches}"
        lines["Digest"] = plan.digest
        lines["Done"] = f"{show.counted(counts.done, 'file')}, {show.size(counts.bytes_done)}"
    for title, reasons in (("Skipped", counts.skipped), ("Failed", counts.failed)):
        if reasons:
            each = ", ".join(f"{show.number(count)} {reason}" for reason, count in sorted(reasons.items()))
            lines[title] = each
    if counts.cancelled:
        lines["Cancelled"] = show.counted(counts.cancelled, "file")
    if counts.quarantined:
        lines["Quarantined"] = show.counted(counts.quarantined, "file")
    if report.jobs:
        lines["Jobs"] = f"{show.number(report.jobs)} in {show.counted(len(report.rounds), 'round')}"
    if plan is not None and plan.files and not counts.total and not report.jobs:
        lines.pop("Done", None)
        lines["Sent"] = "nothing: no job was submitted, every file is as it was"
    elif plan is not None:
        agrees = "adds up" if counts.total == plan.files else f"but the plan holds {show.number(plan.files)}"
        lines["Sum"] = f"{show.counted(counts.total, 'file')} accounted for: {agrees}"
    show.facts(lines)
    print_stages(report.stages)
    if counts.failed:
        show.note(f"\nWhich and why: orchestrator runs files {report.run} --outcome failed")
        show.note(f"Try them again: orchestrator runs retry-failed {report.run}")


def _tell_name(name: str, *, as_json: bool, works: bool) -> None:
    if as_json:
        show.document({"run_id": name})
        return
    show.say(f"Started {name}.")
    if works:
        show.note(f"Watch it: orchestrator runs watch {name}")
    else:
        show.note("It goes on wherever a worker runs: `orchestrator up` starts one here.")


def _interrupted(name: str, *, owned: bool) -> str:
    if owned:
        return (
            f"\nThe services stop now, the run keeps its place. It goes on with `orchestrator runs watch {name}` "
            f"or `orchestrator up`; `orchestrator runs cancel {name}` ends it."
        )
    return (
        f"\nThe run goes on without you. `orchestrator runs watch {name}` shows it again, "
        f"`orchestrator runs cancel {name}` ends it."
    )
