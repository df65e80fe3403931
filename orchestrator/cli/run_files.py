"""`runs files`: the outcome of every file of a run, on the screen or as a file to work with."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, RunArgument, known_word
from orchestrator.cli.connected import with_temporal
from orchestrator.cli.endings import Ending, Refusal, plain

if TYPE_CHECKING:
    from temporalio.client import Client

    from orchestrator.outcome_files import Wanted
    from orchestrator.settings import Settings
    from orchestrator.stack import Stack
    from workflows.run import RunStatus

_MANY = 1000


def files(
    run: RunArgument = "latest",
    outcome: Annotated[
        str | None,
        typer.Option("--outcome", "--state", help="Only these: done, skipped, failed, cancelled, quarantined."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only those with this reason, e.g. changed.")] = None,
    error: Annotated[
        str | None, typer.Option(help="Only those with this reason, or with this text in their message.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many on the screen; 0 lists all.")] = 50,
    out: Annotated[
        Path | None, typer.Option(help="Write all of them to this file instead: .csv, .jsonl or .parquet.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List how each file of a run ended, so far while it is open, in the plan's order; JSON is one document a line."""
    from orchestrator.outcome_files import OUTCOMES, Wanted
    from orchestrator.settings import load_settings

    settings = load_settings()
    known_word("--outcome", outcome, OUTCOMES)
    _check(out)
    name = with_temporal(lambda client, _: _named(client, run, settings)) if run == "latest" else run
    with _table(settings, name) as table:
        _list(settings, name, Wanted(outcome, reason, error), table, limit=limit, out=out, as_json=as_json)


def _list(
    settings: "Settings",
    run: str,
    wanted: "Wanted",
    table: Path | None,
    *,
    limit: int,
    out: Path | None,
    as_json: bool,
) -> None:
    from orchestrator.outcome_files import REASONS, count_files, read_files, reasons_of

    if wanted.reason is not None and wanted.reason not in REASONS:
        known_word("--reason", wanted.reason, sorted({*REASONS, *reasons_of(settings, run, table)}))
    if out is not None:
        _write(settings, run, wanted, out, table, as_json=as_json)
        return
    total = count_files(settings, run, wanted, table)
    rows = read_files(settings, run, wanted, limit=limit, table=table)
    if as_json:
        for row in rows:
            show.document(row)
        return
    shown_rows, width = 0, 0
    while some := list(islice(rows, _MANY)):  # A list of any length is aligned without being held in memory.
        width = max(width, *map(len, map(_ending, some)))
        for row in some:
            _print_file(row, width)
        shown_rows += len(some)
    if total > shown_rows:
        show.note(
            f"{show.number(total - shown_rows)} more: --limit 0 lists all, --out FILE writes them, "
            "--outcome, --reason and --error choose."
        )
    elif total == 0:
        show.say("No such file in this run." if table is None else "No such file in this run so far.")


@contextmanager
def _table(settings: "Settings", run: str) -> Iterator[Path | None]:
    """Give the table of an open run, made for as long as the block lasts; None for an ended one, which has its own."""
    from orchestrator.outcome_files import NoOutcomes, count_files, files_so_far

    try:
        count_files(settings, run)
    except NoOutcomes:
        status = with_temporal(lambda client, stack: _status_of_open(client, stack, run))
    else:
        yield None
        return
    with files_so_far(settings, status) as table:
        if table is None:
            raise Refusal(f"run {run} has begun nothing yet: no file of it has ended")
        show.note(f"Run {run} is open: these files have ended so far, and failed ones may be tried again.")
        yield table


def _check(out: Path | None) -> None:
    from orchestrator.outcome_files import WRITERS

    if out is None:
        return
    if out.suffix.lower() not in WRITERS:
        raise Refusal(f"--out {out}: does not say how to write it: end it with {', '.join(WRITERS)}")
    if not out.absolute().parent.is_dir():
        raise Refusal(f"--out {out}: there is no folder {out.absolute().parent}")


def _write(settings: "Settings", run: str, wanted: "Wanted", out: Path, table: Path | None, *, as_json: bool) -> None:
    from orchestrator.outcome_files import write_files

    written = write_files(settings, run, wanted, out.absolute(), table)
    if as_json:
        show.document({"run_id": run, "files": written, "out": str(out)})
    else:
        show.say(f"{show.counted(written, 'file')} written to {out}")


def _ending(row: dict[str, Any]) -> str:
    return f"{row['outcome']} {row['reason'] or ''}".rstrip()


def _print_file(row: dict[str, Any], width: int) -> None:
    from workflows.names import printable, shown

    colour = {"done": "green", "failed": "red"}.get(row["outcome"], "yellow")
    size = "?" if row["size"] is None else show.size(row["size"])
    show.out().print(f"[{colour}]{_ending(row):<{width}}[/]  [dim]{size:>10}[/]  ", end="")
    show.say(shown(row["path"]) + (f"  ({printable(row['message'])})" if row["message"] else ""), whole=True)


async def _named(client: "Client", run: str, settings: "Settings") -> str:
    from orchestrator.cli.runs import named

    return await named(client, run, settings)


async def _status_of_open(client: "Client", stack: "Stack", run: str) -> "RunStatus":
    from orchestrator.cli.runs import has_ended
    from orchestrator.runs import run_report, run_status
    from orchestrator.stack import TEMPORAL

    if not await has_ended(client, run):
        if TEMPORAL in stack.owned:
            raise Refusal(
                f"run {run} is open, but no worker runs here to tell which of its files have ended. "
                f"`orchestrator runs watch {run}` goes on with it; `orchestrator up` does so for good.",
                Ending.UNREACHABLE,
            )
        return await run_status(client, run)
    report = await run_report(client, run)
    if report.plan is None:
        why = f": {plain(report.trouble)}" if report.trouble else ""
        raise Refusal(f"run {run} ended {report.state} before it had a plan, so no file is part of it{why}")
    raise Refusal(f"run {run} has ended, but its table runs/{run}/outcomes.parquet is not in the storage (any more)")
