"""`apply`, `destroy` and `rollback`: the engine is made to do what the catalog says, after a look at the difference."""

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from orchestrator.cli import show
from orchestrator.cli.apply_screen import document, print_difference
from orchestrator.cli.arguments import JsonOption, ReasonOption, place_of, refuse_unapplied, refuse_wrong
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from orchestrator.applying import Difference
    from orchestrator.catalog import LoadedPolicy
    from orchestrator.engine import Engine

T = TypeVar("T")
_SHOWN = 8

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and leave it so.")]


def apply(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[POLICY|FILE|FOLDER]...", help="What to apply; default: the whole catalog."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove applied policies that are not in the folder.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Apply policies: show what changes in schedules, watches and routes, ask, and do exactly that."""
    from orchestrator.settings import load_settings

    folder = load_settings().policies_dir
    found = [place_of(folder, text) for text in places or ()] or [folder]
    if prune and any(not place.is_dir() for place in found):
        raise Refusal("--prune: name a folder; what is not in it is removed")
    for place in found:
        if not place.exists():
            raise Refusal(f"{place}: there is no such file or folder")
    catalog = refuse_wrong(found)
    again = ["apply", *(places or ()), *(["--prune"] if prune else [])]
    whole = any(place.is_dir() for place in found)
    _change(catalog, (), again, prune=prune, whole=whole, yes=yes, dry_run=dry_run, reason=reason, as_json=as_json)


def destroy(
    policies: Annotated[list[str] | None, typer.Argument(metavar="[POLICY]...", help="Applied policies.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="All policies that are applied.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove applied policies from the engine; their files, versions and runs stay."""
    if bool(policies) == all_of_them:
        raise Refusal("name the policies to remove, or --all")
    names = policies or _with_engine(_applied_names)
    _change({}, names, ["destroy", *names], yes=yes, dry_run=dry_run, reason=reason, as_json=as_json)


def rollback(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="An applied policy, by its name.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="The version, 3 or v3; default: the one before.")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Apply an earlier version of a policy again, as a new version; the file in the folder stays as it is."""
    wanted = None if to is None else _version(to)

    async def earlier(engine: "Engine") -> "tuple[int, LoadedPolicy]":
        return await asyncio.to_thread(_earlier, engine, policy, wanted)

    number, loaded = _with_engine(earlier)
    why = f"rollback to version {number}" + (f": {reason}" if reason else "")
    again = ["rollback", policy, "--to", str(number)]
    _change({policy: loaded}, (), again, yes=yes, dry_run=dry_run, reason=why, as_json=as_json)


def _change(
    catalog: "dict[str, LoadedPolicy]",
    remove: Iterable[str],
    again: list[str],
    *,
    prune: bool = False,
    whole: bool = False,
    yes: bool,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Show the difference, ask, and make it so; `whole` for a folder, `again` is the command that finishes it."""
    names = list(remove)

    async def look_and_do(engine: "Engine") -> "tuple[Difference, bool]":
        with show.waiting("comparing"):
            difference = await engine.applying.difference(catalog, remove=names, prune=prune)
        for change in difference.changes:
            if change.policy in names and not change.parts:  # What a removal that stopped halfway left behind may go.
                refuse_unapplied(change.policy, engine.versions.current())
        doing = not (dry_run or difference.empty)
        if not as_json:
            print_difference(difference, whole=whole)
        elif doing and not yes:
            raise Refusal("--json asks nothing: add --yes to apply, or --dry-run to look")
        await _warn(engine, difference, catalog)
        if doing and not yes:
            await _ask()
        if doing:
            try:
                with show.waiting("applying"):
                    await engine.applying.apply(difference, catalog, actor=show.actor(), reason=reason)
            except asyncio.CancelledError:
                command = f"`orchestrator {shlex.join(again)}`"
                raise Refusal(f"\n{_halfway(engine, difference)}: {command} finishes it.", Ending.INTERRUPTED) from None
        return difference, doing

    difference, doing = _with_engine(look_and_do, works=True)
    if as_json:
        show.document({**document(difference), "applied": doing})
    elif doing:
        show.say("Applied.", style="green")


async def _ask() -> None:
    from orchestrator.cli.question import confirmed

    if not sys.stdin.isatty():
        raise Refusal("nobody is there to say yes: add --yes to apply this, or --dry-run to look only")
    if not await confirmed("Apply this?"):
        raise Refusal("Nothing was applied.")


async def _warn(engine: "Engine", difference: "Difference", catalog: "dict[str, LoadedPolicy]") -> None:
    """Say what of the Hub the new versions count on and would not find, when the Hub can be asked."""
    from orchestrator.hub_doubts import doubts_before_apply

    new = [catalog[one.policy].policy for one in difference.changes if one.number is not None and one.policy in catalog]
    with show.waiting("asking the Hub"):
        doubts = await doubts_before_apply(engine.settings, new)
    for name, doubt in doubts:
        show.note(f"warning: policy {name}: {doubt}", style="yellow")


def _halfway(engine: "Engine", difference: "Difference") -> str:
    """Say how much of an apply is recorded that was interrupted."""
    wanted = [change for change in difference.changes if change.number is not None]
    made = [one.policy for one in wanted if one.number and engine.versions.change(one.policy, one.number) is not None]
    if not made:
        return "Interrupted before a new version was recorded"
    versions = show.counted(len(wanted), "new version")
    are = "is" if len(made) == 1 else "are"
    some = ", ".join(made[:_SHOWN]) + (", ..." if len(made) > _SHOWN else "")
    return f"Interrupted: of {versions} {len(made)} {are} recorded ({some})"


def _version(text: str) -> int:
    number = text.removeprefix("v")
    if not (number.isascii() and number.isdecimal() and 0 < int(number) < 10**9):
        raise Refusal(f"--to {text}: expected a version such as 3 or v3; `orchestrator history` lists them")
    return int(number)


def _earlier(engine: "Engine", policy: str, to: int | None) -> "tuple[int, LoadedPolicy]":
    from orchestrator.catalog import read_policy

    history = engine.versions.history(policy)
    if not history:
        raise Refusal(f"policy {policy} was never applied: `orchestrator status` lists those that are")
    there = [one for one in history if not one.removed]
    if to is not None:
        found = next((one for one in there if one.number == to), None)
    else:
        found = next((one for one in reversed(there) if one.digest != history[-1].digest), None)
    if found is None:
        what = f"no version {to} of {policy}" if to else f"no earlier version of {policy}"
        raise Refusal(f"there is {what}: `orchestrator history {policy}` lists them")
    return found.number, read_policy(engine.versions.read(found), f"{policy}, version {found.number}")


async def _applied_names(engine: "Engine") -> list[str]:
    return list(engine.versions.current())


def _with_engine(ask: "Callable[[Engine], Awaitable[T]]", *, works: bool = False) -> T:
    from orchestrator.cli.engine import with_engine

    return with_engine(ask, works=works)
