"""`import hub`: the Hub's own policies and schedules as files of ours, for a person to read, check and enable."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from orchestrator.importing.folder import Placed
    from orchestrator.importing.hub import HubWords, Import

_WIDE = 98

app = typer.Typer(
    name="import", help="Import: what the Hub schedules by itself, as policies of ours.", no_args_is_help=True
)


@app.callback()
def _import() -> None: ...


@app.command("hub")
def import_hub(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; default: imported/ among the policies.")
    ] = None,
    site: Annotated[str | None, typer.Option("--site", metavar="SITE", help="Only what belongs to this site.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that were edited since the last import.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the Hub's own policies and schedules as YAML of ours, one file each, all of them disabled."""
    from orchestrator.importing import folder, hub
    from orchestrator.settings import load_settings

    settings = load_settings()
    target = out or settings.policies_dir / "imported"
    if target.exists() and not target.is_dir():
        raise Refusal(f"--out {target}: is not a folder; name another one")
    words = _read(settings)
    _check_site(words, site)
    found = hub.import_hub(words, site=site)
    placed = folder.place(target, found.files, force=force)
    if not dry_run:
        folder.write(placed)
    if as_json:
        show.document(_document(placed, found, written=not dry_run))
    else:
        _print(target, placed, found, settings, dry_run=dry_run)
    if any(one.state is folder.State.KEPT for one in placed):
        raise typer.Exit(Ending.BAD_INPUT)


def _read(settings: Any) -> "HubWords":
    from orchestrator.hub import open_hub
    from orchestrator.importing.hub import read_hub
    from orchestrator.stack import HUB, Stack

    async def read(of: Any) -> "HubWords":
        async with open_hub(of) as client:
            return await read_hub(client)

    with Stack(settings, HUB, tell=show.note) as stack, show.waiting("asking the Hub"):
        return asyncio.run(read(stack.settings))


def _check_site(words: "HubWords", site: str | None) -> None:
    from orchestrator.importing.estate import Estate
    from workflows.units import advice

    known = sorted(set(Estate.of(words.sites, []).sites.values()))
    if site is not None and known and site not in known:
        raise Refusal(f"--site {site}: {advice(site, known)}")


def _print(target: Path, placed: "list[Placed]", found: "Import", settings: Any, *, dry_run: bool) -> None:
    from orchestrator.importing.folder import State
    from workflows.names import printable

    for one in placed:
        _print_file(one)
    for warning in found.warnings:
        show.note(printable(f"Look: {warning}."), style="yellow")
    if not placed:
        show.say("The Hub has no policies and no schedules of its own: nothing to import.")
        return
    count = {state: sum(one.state is state for one in placed) for state in State}
    written = show.counted(count[State.NEW] + count[State.REPLACED], "file")
    show.say(f"{written} {'would be ' if dry_run else ''}written to {target}, {count[State.UNCHANGED]} unchanged.")
    if kept := count[State.KEPT]:
        stays = (
            "differs from the Hub's and stays as it is" if kept == 1 else "differ from the Hub's and stay as they are"
        )
        show.note(f"{show.counted(kept, 'file')} {stays}: --force replaces what was edited.", style="red")
    if not dry_run:
        first = next((one.file for one in placed if one.policy.text is not None), target)
        show.say(
            "All say `enabled: false`, and the Hub goes on with its own. Read them, then:\n"
            f"  orchestrator check {target}\n  orchestrator plan {first}",
            whole=True,
        )
        if target.resolve() != settings.policies_dir.resolve():
            show.say(
                f"Policies are looked for in {settings.policies_dir}, not in a folder below it. What is good goes "
                "there, once it is disabled in the Hub and enabled in the file:\n"
                f"  mv {first} {settings.policies_dir}",
                whole=True,
            )


def _print_file(one: "Placed") -> None:
    """One file of the import in a few lines that fit a narrow screen."""
    from textwrap import fill

    from workflows.names import printable

    imported, account = one.policy.imported, one.policy.imported.account
    show.say(f"{one.file.name}  {one.state}, from {printable(f'{imported.kind} {imported.number}')}", style="bold")
    carried = "; ".join(account.carried) or "nothing"
    lost = one.policy.why_not or "; ".join(account.lost) or "nothing"
    for title, text in (("carried over", carried), ("left behind", lost)):
        said = fill(printable(text), _WIDE, initial_indent=f"  {title:<14}", subsequent_indent=" " * 16)
        show.say(said, whole=True)


def _document(placed: "list[Placed]", found: "Import", *, written: bool) -> dict[str, Any]:
    return {
        "written": written,
        "files": [
            {
                "file": str(one.file),
                "policy": one.policy.name,
                "state": one.state,
                "kind": one.policy.imported.kind,
                "id": one.policy.imported.number,
                "name": one.policy.imported.title,
                "enabled_in_hub": one.policy.imported.enabled,
                "carried": one.policy.imported.account.carried,
                "not_carried": one.policy.imported.account.lost,
                "why_not": one.policy.why_not,
                "text": one.policy.text,
            }
            for one in placed
        ],
        "warnings": found.warnings,
    }
