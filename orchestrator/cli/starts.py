"""`starts`: what the triggers wished for, and what became of each: begun, queued, skipped, missed, and why."""

from datetime import datetime
from typing import Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, known_word

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
    found = start_records(load_settings(), policy=policy, state=state, limit=limit)
    if as_json:
        show.document(found)
    elif not found:
        show.say("No start yet." if policy is None else f"No start of {policy} yet.")
    else:
        table = show.grid("when", "policy", "trigger", "start", "run, or why not")
        for one in found:
            table.add_row(_when(one), one["policy"], one["text"], one["state"], one.get("run") or one.get("why") or "")
        show.table(table)


def _when(one: dict[str, Any]) -> str:
    return show.moment(datetime.fromisoformat(one["at"]))[5:16]
