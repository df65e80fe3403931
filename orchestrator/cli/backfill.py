"""`backfill`: make the starts of a stretch of the past now."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.apply import DryRunOption, YesOption
from orchestrator.cli.arguments import JsonOption, ReasonOption, SiteOption, narrowed, read_time, refuse_unapplied
from orchestrator.cli.endings import Refusal
from orchestrator.cli.engine import with_engine

if TYPE_CHECKING:
    from activities.holds import Hold
    from orchestrator.backfill import PastStart
    from orchestrator.engine import Engine
    from workflows.policy import Policy


def backfill(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="An applied policy, by its name.")],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="From this time or date on.")],
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Up to this one; default: now.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Those that ran at their time, too.")] = False,
    site: SiteOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the starts that a policy's schedules did not make at their time, oldest first, one after the other."""
    first, last = read_time(since, "--from"), read_time(until, "--to") or datetime.now(UTC)
    if first is None or not first < last <= datetime.now(UTC):
        raise Refusal("--from must be before --to, and both in the past")

    async def look(engine: "Engine") -> "tuple[Policy, int, list[PastStart], list[Hold]]":
        from activities.holds import over

        looked = await asyncio.to_thread(_look, engine, policy, site, first, last)
        return *looked, over(engine.holds.standing(), looked[0])

    meant, version, found, holds = with_engine(look)
    due = [past for past in found if again or past.became is None or past.became.startswith("missed")]
    wanted = [past for past in due if past.key is not None]
    if not as_json:
        _print(found, wanted)
        if due and not wanted:
            show.say("All of them were made up already: nothing is left to start.")
    doing = bool(wanted) and not dry_run
    if doing and holds:
        raise Refusal(f"nothing was started: {holds[0]}. `{holds[0].remedy}` ends that")
    if doing and not yes:
        _ask(len(wanted), as_json=as_json)

    async def make(engine: "Engine") -> list[str]:
        from orchestrator.backfill import make_starts

        return await make_starts(engine, meant, version, wanted, actor=show.actor(), reason=reason)

    keys = with_engine(make) if doing else []
    if as_json:
        show.document([_document(past, started=doing and past in wanted) for past in found])
    elif doing:
        show.say(f"{show.counted(len(keys), 'start')} handed in.", style="green")
        show.note(f"`orchestrator starts {policy}` shows what becomes of them.")


def _look(
    engine: "Engine", name: str, site: str | None, since: datetime, until: datetime
) -> "tuple[Policy, int, list[PastStart]]":
    from orchestrator.backfill import MOST, past_starts

    current = engine.versions.current()
    refuse_unapplied(name, current)
    policy = narrowed(engine.versions.policy(current[name]), site)
    if not any(trigger.schedule for trigger in policy.triggers):
        raise Refusal(f"policy {name} has no schedule, so there are no past starts to make")
    found = past_starts(engine, policy, since, until)
    if len(found) > MOST:
        raise Refusal(f"there are more than {MOST} starts in that time: choose a shorter one")
    return policy, current[name].number, found


def _ask(count: int, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise Refusal("nobody is there to say yes: add --yes to start these, or --dry-run to look only")
    if not typer.confirm(f"Start {count}?"):
        raise Refusal("Nothing was started.")


def _print(found: "list[PastStart]", wanted: "list[PastStart]") -> None:
    if not found:
        show.say("No schedule of the policy fires in that time.")
        return
    table = show.grid("at, UTC", "then", "now")
    for past in found:
        now = "starts" if past in wanted else f"by backfill: {past.made_up}" if past.made_up else "-"
        table.add_row(f"{past.start.time.at:%Y-%m-%d %H:%M}", past.became or "nothing", now)
    show.table(table)


def _document(past: "PastStart", *, started: bool) -> dict[str, Any]:
    return {"at": show.stamp(past.start.time.at), "became": past.became, "made_up": past.made_up, "started": started}
