"""The commands that steer an open run: pause, resume, cancel, and new limits."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption, RunArgument, known_word, read_time
from orchestrator.cli.connected import connected
from orchestrator.cli.endings import Refusal
from orchestrator.cli.progress import concurrency_text
from orchestrator.cli.runs import named

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.stack import Stack
    from workflows.run import RunStatus
    from workflows.running import Rate

    Act = Callable[[Client, Stack, str], Awaitable[RunStatus]]

steering = typer.Typer()
"""Its commands belong to `runs`."""


@steering.command()
def pause(
    run: RunArgument = "latest",
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Go on by itself then, e.g. 2026-11-23T22:00:00Z.")
    ] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Begin nothing more in a run until it is resumed, or until a time; jobs in flight end."""
    from orchestrator import runs

    ends = read_time(until, "--until")
    if ends is not None and ends <= datetime.now(UTC):
        raise Refusal(f"--until {until}: that is over; name a time to come")

    async def act(client: "Client", stack: "Stack", name: str) -> "RunStatus":
        return await runs.pause(client, name, actor=show.actor(), reason=reason, until=ends)

    _steer(run, act, as_json=as_json)


@steering.command()
def resume(run: RunArgument = "latest", reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let a run go on that somebody has paused, or that an open breaker keeps; a freeze is ended by `thaw`."""

    async def act(client: "Client", stack: "Stack", name: str) -> "RunStatus":
        return await _resume(client, stack, name, reason)

    _steer(run, act, as_json=as_json)


@steering.command()
def cancel(
    run: RunArgument = "latest",
    keep_jobs: Annotated[
        bool, typer.Option("--keep-jobs", help="Let the Hub's jobs in flight go on to their own end.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a run: nothing more begins, its Hub jobs are cancelled, every file is accounted for."""
    from orchestrator import runs

    async def act(client: "Client", stack: "Stack", name: str) -> "RunStatus":
        return await runs.cancel(client, name, actor=show.actor(), reason=reason, keep_jobs=keep_jobs)

    _steer(run, act, as_json=as_json, to_the_end=True)


@steering.command("skip-stage")
def skip_stage(
    run: RunArgument = "latest",
    number: Annotated[
        int | None, typer.Option("--stage", metavar="N", help="Its number, from 1; default: the one that waits now.")
    ] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Leave a stage of a campaign out: end a wait or the wait for an approval, or drop a later stage."""
    from orchestrator import runs

    async def act(client: "Client", stack: "Stack", name: str) -> "RunStatus":
        return await runs.skip_stage(client, name, actor=show.actor(), reason=reason, number=number)

    _steer(run, act, as_json=as_json)


@steering.command("set")
def set_(
    run: RunArgument = "latest",
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto", help="Jobs in flight at a time; auto: let the run find it again, as its policy says."
        ),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE",
            help="At most so much: 60000/min (files), 1GiB/min, 30jobs/min, or several; off: no such limit.",
        ),
    ] = None,
    window: Annotated[str | None, typer.Option(metavar="on|off", help="Whether the run keeps to its windows.")] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change how fast an open run goes, from its next batch on; what is not named stays as it is."""
    from orchestrator import runs
    from workflows.run import NewLimits

    known_word("--window", window, ("on", "off"))
    limits = NewLimits(
        actor=show.actor(),
        reason=reason,
        concurrency=None if concurrency in (None, "auto") else _slots(concurrency),
        adapts=concurrency == "auto",
        rate=_rate([one for one in rate or () if one != "off"]),
        rate_off="off" in (rate or ()),
        window=None if window is None else window == "on",
    )

    async def act(client: "Client", stack: "Stack", name: str) -> "RunStatus":
        return await runs.set_limits(client, name, limits)

    _steer(run, act, as_json=as_json, show_limits=True)


def _slots(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1000):
        raise Refusal(f"--concurrency {text}: write a number of jobs from 1 to 1000, or auto")
    return int(text)


def _rate(texts: list[str]) -> "Rate | None":
    """Read rates such as 60000/min, 1GiB/min and 30jobs/min; what has no unit is files."""
    from workflows.running import Rate

    if not texts:
        return None
    limits: dict[str, Any] = {}
    for text in texts:
        found = re.fullmatch(r"(?P<number>[0-9][0-9_]*)(?P<unit>[A-Za-z]*)/min", text)
        if not found:
            raise Refusal(f"--rate {text}: write it as 60000/min (files), 1GiB/min, 30jobs/min, or off")
        number, unit = found["number"], found["unit"]
        kind: Literal["files", "jobs", "bytes"] = "bytes"
        if unit in ("", "file", "files"):
            kind = "files"
        elif unit in ("job", "jobs"):
            kind = "jobs"
        limits[f"{kind}_per_minute"] = f"{number}{unit}" if kind == "bytes" else int(number)
    try:
        return Rate.model_validate(limits)
    except ValueError as error:
        from pydantic import ValidationError

        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise Refusal(f"--rate {' '.join(texts)}: {why.removeprefix('Value error, ')}") from None


def _steer(run: str, act: "Act", *, as_json: bool, to_the_end: bool = False, show_limits: bool = False) -> None:
    from orchestrator.reporting.progress import watch_run
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, TEMPORAL, WORKER, Stack

    async def steer(client: "Client", stack: "Stack") -> "RunStatus":
        name = await named(client, run, stack.settings)
        async with asyncio.timeout(30):
            status = await act(client, stack, name)
        if to_the_end and WORKER in stack.owned:  # The worker ends with this command: let it clear up first.
            async for progress in watch_run(client, name):
                status = progress.status
        return status

    with Stack(load_settings(), TEMPORAL, HUB, WORKER, tell=show.note) as stack:
        try:
            status = asyncio.run(connected(stack, steer))
        except TimeoutError:
            raise Refusal("no worker answered in 30 s; `orchestrator doctor` shows whether one runs") from None
    if as_json:
        limits = _limits(status) if show_limits else {}
        show.document({"run_id": status.run, "state": str(status.state), "paused_by": status.paused_by, **limits})
        return
    show.say(f"{status.run}: {status.state}{_waiting(status)}")
    if show_limits:
        show.say(_limits_text(status))
    for number in sorted({one.freeze for one in status.pausers if one.freeze is not None}):
        show.note(f"`orchestrator thaw {number}` ends the freeze.")


def _limits(status: "RunStatus") -> dict[str, Any]:
    rate = status.rate.model_dump(mode="json", exclude_none=True) if status.rate else None
    return {
        "concurrency": status.concurrency,
        "adapts_between": None if status.bounds is None else [status.bounds.least, status.bounds.most],
        "rate": rate,
        "window_open_until": show.stamp(status.opening.open_until),
        "window_closed_until": show.stamp(status.opening.closed_until),
    }


def _limits_text(status: "RunStatus") -> str:
    from workflows.units import size_text

    rate, words = status.rate, [concurrency_text(status)]
    if rate is not None and rate.files_per_minute is not None:
        words.append(f"{show.counted(rate.files_per_minute, 'file')} a minute")
    if rate is not None and rate.bytes_per_minute is not None:
        words.append(f"{size_text(rate.bytes_per_minute)} a minute")
    if rate is not None and rate.jobs_per_minute is not None:
        words.append(f"{show.counted(rate.jobs_per_minute, 'job')} a minute")
    if status.opening.open_until is not None:
        words.append(f"its window is open until {show.moment(status.opening.open_until)}")
    return ", ".join(words)


async def _resume(client: "Client", stack: "Stack", run: str, reason: str) -> "RunStatus":
    from activities.holds import Holds
    from activities.ledger.log import AuditLog
    from orchestrator.holding import resume_run

    log = AuditLog(stack.settings.audit.get_secret_value())
    try:
        return await resume_run(client, Holds(log), run, actor=show.actor(), reason=reason)
    finally:
        log.close()


def _waiting(status: "RunStatus") -> str:
    return f", waits for {status.waits_for}" if status.waits_for else ""
