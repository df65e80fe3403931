"""`runs jobs`: the Hub jobs of a run, as the audit tells of them, however many there are."""

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, RunArgument
from orchestrator.cli.connected import with_temporal
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.settings import Settings

_MANY = 1000


def jobs(
    run: RunArgument = "latest",
    limit: Annotated[int, typer.Option(min=0, help="At most so many, the last to end; 0 lists all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the Hub jobs of a run in the order in which they ended; JSON is one document a line."""
    from orchestrator import reports
    from orchestrator.settings import load_settings

    settings = load_settings()
    name = with_temporal(lambda client, _: _named(client, run, settings)) if run == "latest" else run
    found = reports.each_job(settings, name)
    rows = iter(deque(found, maxlen=limit)) if limit else found
    shown = 0
    if as_json:
        for row in rows:
            show.document(row)
        return
    while some := list(islice(rows, _MANY)):
        table = show.grid(">job", ">round", ">batch", "state", ">files")
        for row in some:
            state = row["state"] or "open"
            table.add_row(str(row["id"]), str(row["round"]), str(row["batch"]), state, show.number(row["files"]))
        show.table(table)
        shown += len(some)
    if not shown:
        raise Refusal(f"The audit knows no job of {name}. `orchestrator runs list` shows the runs.")


async def _named(client: "Client", run: str, settings: "Settings") -> str:
    from orchestrator.cli.runs import named

    return await named(client, run, settings)
