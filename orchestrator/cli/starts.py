"""`starts`: what the triggers wished for, and what became of each: begun, queued, skipped, missed, and why."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, catalog_names, known_word
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from orchestrator.settings import Settings

_WORDS = ("begun", "queued", "skipped", "missed")


def starts(
    policy: Annotated[str | None, typer.Argument(metavar="[POLICY]", help="Only those of this policy.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Only these: begun, queued, skipped, missed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the starts that were wished for: by which trigger, and what became of each."""
    from orchestrator.settings import load_settings
    from orchestrator.start_records import start_records

    known_word("--state", state, _WORDS)
    settings = load_settings()
    found = start_records(settings, policy=policy, state=state, limit=limit)
    if policy is not None and not found:
        _refuse_unknown(settings, policy)
    if as_json:
        show.document(found)
    elif not found:
        show.say("No start yet." if policy is None else f"No start of {policy} yet.")
    else:
        table = show.grid("when", "policy", "trigger", "start", "run, or why not")
        for one in found:
            table.add_row(_when(one), one["policy"], one["text"], one["state"], one.get("run") or _why(one))
        show.table(table)


def _refuse_unknown(settings: "Settings", policy: str) -> None:
    """Refuse a name that is no policy's: neither in the folder, nor ever applied, nor of any start."""
    from orchestrator.start_records import start_records
    from orchestrator.versions import ever_applied
    from workflows.units import advice

    started = {str(one["policy"]) for one in start_records(settings, policy=None, state=None, limit=100_000)}
    known = sorted({*catalog_names(settings), *ever_applied(settings), *started})
    if policy not in known:
        there = advice(policy, known) if known else "none is in the folder, and none was ever applied"
        raise Refusal(f"there is no policy {policy} and no start of it: {there}")


def _why(one: dict[str, Any]) -> str:
    """Say why there is no run; of a missed start also when it was meant, since it is told of later."""
    why = str(one.get("why") or "")
    if one["state"] != "missed" or one.get("scheduled") is None:
        return why
    return f"meant for {_short(one['scheduled'])}: {why}"


def _when(one: dict[str, Any]) -> str:
    return _short(one["at"])


def _short(moment: str) -> str:
    return show.moment(datetime.fromisoformat(moment))[5:16]
