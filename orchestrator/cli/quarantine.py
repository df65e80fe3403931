"""`quarantine`: the files that keep failing and are left alone; list them, look at one, let them be tried again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from activities.quarantine import Failing, Quarantine
    from orchestrator.settings import Settings

app = typer.Typer(
    name="quarantine",
    help="Files that keep failing and are left alone: list, show, release.",
    no_args_is_help=True,
    add_completion=False,
)
SiteOption = Annotated[str | None, typer.Option("--site", help="Only this site.")]
KindOption = Annotated[str | None, typer.Option("--reason", help="Only files that failed so, such as checksum.")]
T = TypeVar("T")


@app.command("list")
def list_files(
    site: SiteOption = None,
    reason: KindOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000_000, help="At most so many, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the files that no policy plans until they are released or their time is over."""
    from activities.quarantine import Which

    which = Which(site=site, reason=reason)
    if as_json:
        _asked(lambda quarantine, settings: _print_lines(quarantine, which, limit))
        return

    def ask(quarantine: "Quarantine", settings: "Settings") -> "tuple[dict[tuple[str, str], int], list[Failing]]":
        return quarantine.tally(which), list(quarantine.listed(which, limit))

    counts, found = _asked(ask)
    if not found:
        show.say("No such file is in quarantine." if site or reason else "No file is in quarantine.")
        return
    _print_table(found)
    total = sum(counts.values())
    show.note(f"{show.counted(total, 'file')}: " + ", ".join(f"{at} {why} {n:,}" for (at, why), n in counts.items()))
    if total > len(found):
        show.note(f"The newest {len(found):,} are shown; `--limit {total}` shows all.")


@app.command("show")
def show_file(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file, as the Hub names it.")],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of one file: how often it failed, how, when, and until when it is left alone."""
    from workflows.names import shown

    found = _asked(lambda quarantine, settings: quarantine.find(path, site))
    if as_json:
        show.document([_document(one) for one in found])
        return
    if not found:
        raise Refusal(f"{shown(path)} has not failed since it last succeeded: it is not in quarantine.")
    for one in found:
        show.facts(dict(_facts(one)))


@app.command()
def release(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Files, as the Hub names them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every file that is in quarantine.")] = False,
    site: SiteOption = None,
    reason: KindOption = None,
    why: Annotated[str, typer.Option("--why", "--reason-why", help="Why, for the audit.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Let files be planned again, as if they had never failed; the next runs of their policies take them."""
    from activities.quarantine import Which

    if not why.strip():
        raise Refusal("say why, for whoever reads the audit: --why '...'")
    if sum((bool(paths), every, reason is not None)) != 1:
        raise Refusal("name the files, or take all that failed so (--reason R), or --all: one of these")

    def ask(quarantine: "Quarantine", settings: "Settings") -> int:
        from activities.ledger.log import AuditLog
        from orchestrator.releasing import release as let_go

        log = AuditLog(settings.audit.get_secret_value())
        try:
            which = Which(site=site, reason=reason, paths=tuple(paths or ()))
            return let_go(quarantine, log, which, actor=show.actor(), reason=why.strip())
        finally:
            log.close()

    released = _asked(ask)
    if as_json:
        show.document({"released": released})
    elif released:
        show.say(f"{show.counted(released, 'file')} released: their policies plan them again.", style="green")
    else:
        show.say("No such file is in quarantine.", style="yellow")
    if not released:
        raise typer.Exit(Ending.ENDED_BADLY)


def _asked(ask: "Callable[[Quarantine, Settings], T]") -> T:
    from activities.quarantine import Quarantine
    from orchestrator.settings import load_settings

    settings = load_settings()
    quarantine = Quarantine(settings.quarantine.get_secret_value())
    try:
        return ask(quarantine, settings)
    finally:
        quarantine.close()


def _print_lines(quarantine: "Quarantine", which: Any, limit: int) -> None:
    """Print a line of JSON a file: a million of them are nobody's one document."""
    for one in quarantine.listed(which, limit):
        show.document(_document(one))


def _print_table(found: "list[Failing]") -> None:
    from workflows.names import printable, shown

    sites = len({one.site for one in found}) > 1
    table = show.grid("until", *(["site"] if sites else []), "reason", ">tries", "path", "message")
    for one in found:
        until = "" if one.until is None else f"{one.until:%Y-%m-%d}"
        row = [until, *([one.site] if sites else []), one.reason, str(one.tries), shown(one.path)]
        table.add_row(*row, printable(one.message))
    show.table(table)


def _facts(one: "Failing") -> list[tuple[str, str]]:
    from workflows.names import printable, shown

    state = f"left alone until {one.until:%Y-%m-%d %H:%M} UTC" if one.set_aside else "planned like any other file"
    return [
        ("Path", shown(one.path)),
        ("Site", one.site),
        ("State", state),
        ("Failed", f"{show.counted(one.tries, 'time')} in a row, first {_at(one.first)}, last {_at(one.last)}"),
        ("Last failure", f"{one.reason}: {printable(one.message)}"),
        ("In run", one.run),
    ]


def _at(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _document(one: "Failing") -> dict[str, Any]:
    from workflows.names import to_path

    return {
        "path": to_path(one.path),
        "site": one.site,
        "reason": one.reason,
        "message": one.message,
        "tries": one.tries,
        "first_failure": show.stamp(one.first),
        "last_failure": show.stamp(one.last),
        "run": one.run,
        "since": None if one.since is None else show.stamp(one.since),
        "until": None if one.until is None else show.stamp(one.until),
        "quarantined": one.set_aside,
    }
