"""`status` and `history`: what the engine does by itself, how that differs from the folder, and who applied what."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Ending, Refusal
from orchestrator.cli.engine import with_engine

if TYPE_CHECKING:
    from activities.holds import Hold
    from orchestrator.applied import There
    from orchestrator.engine import Engine
    from orchestrator.standings import PolicyStanding
    from orchestrator.versions import Version


def status(
    policies: Annotated[list[str] | None, typer.Argument(metavar="[POLICY|FILE]...", help="Default: all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 when anything differs, for scripts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every policy: the applied version, what the folder and the engine differ in, the next starts."""
    from orchestrator.settings import load_settings
    from orchestrator.standings import read_folder, standings

    place = load_settings().policies_dir
    folder = read_folder(place)
    if not place.is_dir():
        show.note(f"There is no folder {place}: ORCHESTRATOR_POLICIES_DIR names another.", style="yellow")

    async def look(engine: "Engine") -> "list[PolicyStanding]":
        with show.waiting("comparing"):
            return await standings(engine, folder)

    found = _named(with_engine(look, works=True), policies or ())
    if as_json:
        show.document([_document(one) for one in found])
    else:
        _print(found)
    if any(one.trouble for one in found):
        raise typer.Exit(Ending.BAD_INPUT)
    if check and any(one.drift or one.folder not in ("in sync", "not in the folder") for one in found):
        raise typer.Exit(Ending.ENDED_BADLY)


def history(
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="A policy that was applied, by its name.")],
    version: Annotated[int | None, typer.Option("--version", min=1, help="Print the document of this version.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the versions of a policy: who applied which, when and why."""

    async def look(engine: "Engine") -> "tuple[list[Version], str | None]":
        found = engine.versions.history(policy)
        if version is None:
            return found, None
        one = next((each for each in found if each.number == version), None)
        if one is None:
            raise Refusal(f"there is no version {version} of {policy}: `orchestrator history {policy}` lists them")
        return found, engine.versions.read(one).decode(errors="replace")

    found, source = with_engine(look)
    if not found:
        raise Refusal(f"policy {policy} was never applied: `orchestrator status` lists those that are")
    if source is not None:
        typer.echo(source, nl=not source.endswith("\n"))
    elif as_json:
        show.document([_version(one) for one in found])
    else:
        _print_history(found)


def _named(found: "list[PolicyStanding]", names: Iterable[str]) -> "list[PolicyStanding]":
    from orchestrator.standings import name_in
    from workflows.units import advice

    known = {one.policy: one for one in found}
    wanted = [name_in(Path(name)) if Path(name).is_file() else name for name in names]
    for name in wanted:
        if name not in known:
            there = advice(name, known) if known else "none is in the folder, and none is applied"
            raise Refusal(f"there is no policy {name}: {there}")
    return [known[name] for name in wanted] or found


def _print(found: "list[PolicyStanding]") -> None:
    if not found:
        show.say("No policy is in the folder, and none is applied.")
        return
    table = show.grid("policy", ">version", "folder", "by itself")
    for one in found:
        number = str(one.applied.number) if one.applied else "-"
        table.add_row(one.policy, number, one.folder, "\n".join(_by_itself(one)))
    show.table(table)
    if any(one.folder == "invalid" for one in found):
        show.note("`orchestrator apply` of the folder does nothing before each file of it is right.", style="yellow")
    elif any(one.trouble for one in found):
        show.note("Bring the policy's file back and apply it, or `orchestrator destroy` the policy.", style="yellow")
    elif any(one.folder in ("changed", "not applied") or one.drift for one in found):
        show.note("`orchestrator apply` makes the engine what the folder says.")


def _by_itself(one: "PolicyStanding") -> list[str]:
    lines = [_part(part, one.hold_on(part)) for part in one.parts]
    lines += [f"drift: {text}" for text in one.drift]
    lines += [f"held: {hold}" for hold in one.holds]
    if one.trouble is not None:
        return lines + one.trouble.splitlines()
    return lines or ["nothing: by hand only" if one.applied else ""]


def _part(part: "There", hold: "Hold | None") -> str:
    if part.paused:
        return f"{part.text}: paused" + (f" ({part.note})" if part.note else "")
    if hold is not None:
        return f"{part.text}: held, starts nothing"
    return f"{part.text}: next {show.moment(part.next_times[0])}" if part.next_times else part.text


def _print_history(found: "list[Version]") -> None:
    table = show.grid(">version", "when", "who", "digest", "why")
    for one in reversed(found):
        digest = "removed" if one.removed else str(one.digest)[:12]
        table.add_row(str(one.number), show.moment(one.at), one.actor, digest, one.reason)
    show.table(table)


def _document(one: "PolicyStanding") -> dict[str, Any]:
    return {
        "policy": one.policy,
        "version": one.applied.number if one.applied else None,
        "digest": one.applied.digest if one.applied else None,
        "applied_by": one.applied.actor if one.applied else None,
        "applied_at": show.stamp(one.applied.at) if one.applied else None,
        "folder": one.folder,
        "drift": list(one.drift),
        "held": str(one.holds[0]) if one.holds else None,
        "trouble": one.trouble,
        "parts": [
            {
                "kind": part.kind,
                "id": part.id,
                "text": part.text,
                "paused": part.paused,
                "note": part.note,
                "next": [show.stamp(each) for each in part.next_times],
            }
            for part in one.parts
        ],
    }


def _version(one: "Version") -> dict[str, Any]:
    return {
        "version": one.number,
        "digest": one.digest,
        "removed": one.removed,
        "actor": one.actor,
        "at": show.stamp(one.at),
        "reason": one.reason,
    }
