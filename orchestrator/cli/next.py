"""`next`: when a policy's schedules start it, and what changes of the clocks do to that."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, PolicyArgument, read_policy, read_time
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from orchestrator.planned_starts import PlannedStart
    from orchestrator.settings import Settings
    from workflows.policy import Policy

_YEARS = range(2000, 2200)  # As the policies' own dates.


def show_next(
    policy_name: PolicyArgument,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, metavar="N", help="How many starts.")] = 10,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this time or date on, e.g. 2026-11-23T22:00:00Z; or now."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Preview when a policy's schedules start it: local time, UTC, and what changes of the clocks do.

    Where Temporal can be reached, its own fire times are compared with these.
    """
    from orchestrator.planned_starts import planned_starts
    from orchestrator.settings import load_settings

    settings = load_settings()
    policy, after = read_policy(settings, policy_name), _before(since)
    starts = list(islice(planned_starts(policy, after), count))
    if as_json:
        show.document([_plain(start) for start in starts])
    else:
        _print(policy, starts)
        _explain(policy, len(starts), count)
        if starts and policy.enabled:
            _compare(settings, policy, starts, after)


def _compare(settings: "Settings", policy: "Policy", starts: "list[PlannedStart]", after: datetime) -> None:
    """Say whether the engine has the same times, where one can be asked."""
    import asyncio

    from orchestrator.stack import running_settings, temporal_is_configured

    there = running_settings(settings)
    if not temporal_is_configured(there):
        return
    from orchestrator.engine_agreement import WITHIN, disagreements
    from orchestrator.temporal import TemporalUnreachable, connect

    async def ask() -> list[str]:
        client = await connect(there, within=WITHIN.total_seconds())
        return await disagreements(client, there.task_queue, policy, starts, max(after, datetime.now(UTC)))

    try:
        said = asyncio.run(ask())
    except TemporalUnreachable as error:
        show.note(f"Not compared with the engine: {error}")
        return
    for line in said:
        show.note(line, style="yellow")
    if not said:
        show.note("The engine has the same times.", style="green")


def _before(text: str | None) -> datetime:
    """Read the moment just before the one that is asked for, which is in."""
    when = read_time(text, "--from")
    if when is None:
        return datetime.now(UTC)
    if when.year not in _YEARS:
        raise Refusal(f"--from {text}: expected a time between {_YEARS.start} and {_YEARS.stop - 1}")
    return when - timedelta(microseconds=1)


def _print(policy: "Policy", starts: "list[PlannedStart]") -> None:
    if not starts:
        return
    schedules = [trigger.schedule for trigger in policy.triggers if trigger.schedule is not None]
    zones, several = {schedule.timezone for schedule in schedules}, len(schedules) > 1
    columns = {f"local time, {zones.pop()}" if len(zones) == 1 else "local time": _local}
    if zones:
        columns["zone"] = lambda start: start.schedule.timezone
    columns["UTC"] = lambda start: f"{start.time.at:%Y-%m-%d %H:%M}"
    if several:
        columns["trigger"] = lambda start: f"triggers[{start.trigger}]"
    if any(start.time.note for start in starts):
        columns["note"] = lambda start: f"[yellow]{start.time.note or ''}[/]"
    rows = show.grid(*columns)
    for column in rows.columns:
        column.no_wrap = column.header != "note"
    for start in starts:
        rows.add_row(*(cell(start) for cell in columns.values()))
    show.table(rows)


def _local(start: "PlannedStart") -> str:
    local = start.time.local
    return f"{local:%a %Y-%m-%d %H:%M} {local.isoformat()[-6:]}"


def _explain(policy: "Policy", shown: int, wanted: int) -> None:
    """Say what the list does not show."""
    schedules = [trigger.schedule for trigger in policy.triggers if trigger.schedule is not None]
    others = sorted({trigger.kind for trigger in policy.triggers if trigger.schedule is None})
    if not schedules:
        ways = f"its triggers are of another kind: {', '.join(others)}" if others else "it has no triggers"
        show.say(f"No schedule starts {policy.name}; {ways}. `orchestrator run {policy.name}` starts it now.")
        return
    if shown < wanted:
        show.say(f"No schedule starts {policy.name} {'after that' if shown else 'from then on'}: `end` is reached.")
    if not policy.enabled:
        show.note(f"{policy.name} is not enabled: none of this happens until it is.", style="yellow")
    jitter = max(schedule.jitter for schedule in schedules)
    if jitter:
        show.note(f"Each start is delayed by a random part of its jitter, at most {show.span(jitter)}.")
    if others:
        show.note(f"Other triggers may start it at any time: {', '.join(others)}.")


def _plain(start: "PlannedStart") -> dict[str, Any]:
    return {"at": show.stamp(start.time.at), "local": start.time.local.isoformat(), "note": start.time.note}
