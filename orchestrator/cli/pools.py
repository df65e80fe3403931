"""`pools`: how full the pools are, what is done about it, and how they came there."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Refusal
from orchestrator.cli.engine import with_engine

if TYPE_CHECKING:
    from orchestrator.engine import Engine
    from orchestrator.pool_views import PoolView
    from workflows.pools import WatchStatus

pools = typer.Typer(help="How full the storage pools are, and what is done about it.", invoke_without_command=True)

_WIDE = 112
"""Columns of a terminal into which the table fits."""

_COLOURS = {"normal": "green", "above": "yellow", "draining": "cyan", "holding": "blue", "blocked": "red",
            "critical": "bold red"}  # fmt: skip


@pools.callback()
def list_pools(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the pools: level, marks, state, trend, time to the upper mark and to full, the policy that will act."""
    if context.invoked_subcommand is not None:
        return
    views = _views()
    if as_json:
        show.document([_plain(view) for view in views])
        return
    if not views:
        show.say("No pool is watched yet: apply a policy with a `threshold` trigger.")
        return
    if show.out().width < _WIDE:
        _print_narrow(views)
    else:
        _print_wide(views)


@pools.command()
def history(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The pool, by its name or as site/pool.")],
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back, such as 12h or 7d.")] = "7d",
    as_json: JsonOption = False,
) -> None:
    """Plot the measured levels of a pool, with its marks."""
    from orchestrator.cli.pool_plot import plot
    from orchestrator.pool_views import pool_history
    from orchestrator.settings import load_settings
    from workflows.units import parse_duration

    try:
        length: timedelta = parse_duration(since)
    except ValueError as error:
        raise Refusal(f"--since {since}: {error}") from None
    found = [view for view in _views() if pool in (view.ref.pool, f"{view.ref.site}/{view.ref.pool}", str(view.ref))]
    if len(found) != 1:
        names = ", ".join(str(view.ref) for view in found)
        raise Refusal(f"there are several pools of that name: {names}" if found else f"no pool {pool} was measured yet")
    [view] = found
    levels = pool_history(load_settings(), view.ref, datetime.now(UTC) - length)
    if as_json:
        show.document([{"at": one.at, "used": one.used, "capacity": one.capacity} for one in levels])
        return
    if not levels:
        show.say(f"No sample of {view.ref} in the last {since}.")
        return
    show.say(f"{view.ref}: {levels[-1].percent:.1f}% of {show.size(levels[-1].capacity)}", "bold")
    marks = {name: mark for name, mark in (("upper", view.upper), ("lower", view.lower)) if mark is not None}
    width = min(show.out().width, 110) - 16
    for line in plot(levels, marks, width=width):
        show.out().print(line, soft_wrap=True)


def _print_wide(views: "list[PoolView]") -> None:
    table = show.grid("pool", ">level", ">marks", "state", ">a day", "to upper", "to full", "acts next")
    for view in views:
        table.add_row(
            f"{view.ref.pool}\n[dim]{view.ref.site}[/]",
            *_where(view),
            _a_day(view),
            "\n".join(_time(*view.time_to(view.upper))).replace("\n", "\n[dim]", 1),
            "\n".join(_time(*view.time_to(100.0))).replace("\n", "\n[dim]", 1),
            (view.status.next_policy or "") if view.status else "",
        )
    show.table(table)
    for view in views:
        if why := _waits(view):
            show.marked(f"[dim]{view.ref.pool}[/]", why)


def _print_narrow(views: "list[PoolView]") -> None:
    """What does not fit into columns stands below each pool."""
    for view in views:
        level, marks, state = _where(view)
        show.out().print(f"[bold]{view.ref.pool}[/] [dim]{view.ref.site}[/]  {level}  {state}  {marks}".rstrip())
        times = [_time(*view.time_to(mark)) for mark in (view.upper, 100.0)]
        upper, full = (f"{expected} ({between})" if between else expected for expected, between in times)
        policy = (view.status.next_policy or "") if view.status else ""
        facts = {"a day": _a_day(view), "to upper": upper, "to full": full, "acts next": policy, "now": _waits(view)}
        for name, value in facts.items():
            if value:
                show.marked(f"  [dim]{name:<9}[/]", value)


def _where(view: "PoolView") -> tuple[str, str, str]:
    return (
        "?" if view.level is None else f"{view.level.percent:.1f}%",
        "" if view.upper is None else f"{view.upper:g} → {view.lower:g}%",
        "[dim]not watched[/]" if view.state is None else f"[{_COLOURS[view.state]}]{view.state}[/]",
    )


def _a_day(view: "PoolView") -> str:
    if view.trend is None:
        return ""
    return f"{'+' if view.trend.slope >= 0 else '-'}{show.size(abs(view.trend.slope) * 86_400)}"


def _views() -> "list[PoolView]":
    from orchestrator.pool_views import pool_views
    from orchestrator.settings import load_settings

    async def ask(engine: "Engine") -> "tuple[list[WatchStatus], dict[str, str]]":
        statuses = await engine.watches.all()
        return statuses, await engine.watches.what_runs_wait_for(statuses)

    return pool_views(load_settings(), *with_engine(ask, works=True))


def _waits(view: "PoolView") -> str:
    status = view.status
    if status is None:
        return ""
    if status.book.blocked is not None:
        block = status.book.blocked
        return f"blocked: {block.why}; looked at again at {show.moment(block.until)} or when it grows"
    if status.run is not None and view.run_waits_for:
        return f"run {status.run} waits for {view.run_waits_for}"
    if status.waits_for:
        return (f"run {status.run} " if status.run is not None else "") + f"waits: {status.waits_for}"
    if status.run is not None:
        return f"run {status.run}"
    if status.state == "holding":
        return f"rests until {show.moment(status.book.hold_until)} (hold_down)"
    return ""


def _until(status: "WatchStatus") -> datetime | None:
    """Give when a pool that rests is looked at again."""
    if status.book.blocked is not None:
        return status.book.blocked.until
    return status.book.hold_until if status.state == "holding" else None


def _time(expected: timedelta | None, soon: timedelta | None, late: timedelta | None) -> tuple[str, str]:
    """Give the expected time, and the range in which it lies."""
    if expected == timedelta(0):
        return "now", ""
    if expected is None:
        return "" if soon is None else f"not before {show.span(soon)}", ""
    between = f"{'?' if soon is None else show.span(soon)} … {'never' if late is None else show.span(late)}"
    return show.span(expected), between


def _plain(view: "PoolView") -> dict[str, Any]:
    status, level = view.status, view.level

    def seconds(percent: float | None) -> dict[str, float | None]:
        words = ("expected_s", "soonest_s", "latest_s")
        times = view.time_to(percent)
        return {word: None if one is None else one.total_seconds() for word, one in zip(words, times, strict=True)}

    return {
        "site": view.ref.site,
        "filesystem": view.ref.filesystem,
        "pool": view.ref.pool,
        "used": None if level is None else level.used,
        "capacity": None if level is None else level.capacity,
        "percent": None if level is None else round(level.percent, 3),
        "measured": None if level is None else level.at,
        "upper": view.upper,
        "lower": view.lower,
        "state": view.state,
        "bytes_a_day": None if view.trend is None else round(view.trend.slope * 86_400),
        "to_upper": seconds(view.upper),
        "to_full": seconds(100.0),
        "policies": [] if status is None else [entry.policy for entry in status.entries],
        "acts_next": None if status is None else status.next_policy,
        "run": None if status is None else status.run,
        "waits_for": _waits(view) or None,
        "until": None if status is None else _until(status),
    }
