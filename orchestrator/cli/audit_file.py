"""`audit file`: what happened to one file, over all runs."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption
from orchestrator.cli.audit_log import opened_log
from orchestrator.cli.endings import Ending

if TYPE_CHECKING:
    from activities.ledger.records import Stored
    from activities.quarantine import Failing
    from orchestrator.auditing.files import FileHistory, InRun, Release, Try

_SILENT = 2.0
"""Seconds after which a look says how far it is."""


def file(
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file, as the Hub names it.")],
    site: Annotated[str | None, typer.Option("--site", help="Only this site.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many runs that had it.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Tell what happened to a file: planned by which rule, sent in which job, how it ended, set aside, released."""
    from orchestrator.auditing.files import history_of

    with opened_log() as (_, settings):
        found = history_of(settings, path, site, most=limit, tell=_Progress())
    if as_json:
        show.document(document(found))
    else:
        _print(found)
    if not found.runs and not found.failing:
        raise typer.Exit(Ending.ENDED_BADLY)


class _Progress:
    """Says how far a long look is, on standard error."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, looked_at: int, of: int) -> None:
        if time.monotonic() - self._said > _SILENT:
            self._said = time.monotonic()
            show.note(f"{looked_at:,} of {show.counted(of, 'run')} looked at ...")


def _print(found: "FileHistory") -> None:
    from workflows.names import shown

    name = shown(found.path)
    if not found.runs:
        where = f" at {found.site}" if found.site else ""
        show.say(f"No run had {name}{where}: {show.counted(found.looked_at, 'plan')} looked at.", "yellow")
    else:
        show.say(name, "bold", whole=True)
        show.say(f"in {found.runs_in_all:,} of {show.counted(found.looked_at, 'run')}, the newest last")
    if found.runs_in_all > len(found.runs):
        show.note(f"{found.runs_in_all - len(found.runs):,} older: --limit {found.runs_in_all} tells all.")
    for one in found.runs:
        show.say()
        _print_run(one)
    for released in found.releases:
        show.say()
        _print_release(released)
    for failing in found.failing:
        show.say()
        _print_failing(failing)
    if found.unread:
        show.note(f"Not readable any more, so nobody can tell: {', '.join(sorted(found.unread)[:10])}", "yellow")


def _print_run(one: "InRun") -> None:
    from workflows.names import printable

    colour = {"done": "green", "failed": "red", None: "dim"}.get(one.outcome, "yellow")
    version = f" v{one.version}" if one.version else ""
    show.say(f"{_at(one.planned)}  {one.run}  {one.policy}{version}, rule {printable(one.rule)}", "bold")
    told = [("started", f"by {printable(one.started_by)}: {printable(one.why)}")]
    told += [("decided", _said(word)) for word in one.words]
    told += [(f"round {attempt.round}", _tried(attempt)) for attempt in one.tries]
    for name, value in told:
        show.marked(f"[dim]{name:<8}[/]", value)
    ending = " ".join(filter(None, (one.outcome, one.reason))) or f"no outcome: the run is {one.state or 'open'}"
    message = f" ({printable(one.message)})" if one.message else ""
    show.marked(f"[{colour}]{'ended':<8}[/]", f"{ending}{message}")


def _said(word: "Stored") -> str:
    from workflows.names import printable

    reason = str(word.body.get("reason") or word.body.get("why") or "")
    return f"{_at(word.at)}  {word.event} by {printable(word.actor)}" + (f": {printable(reason)}" if reason else "")


def _tried(one: "Try") -> str:
    from workflows.names import printable

    ending = " ".join(filter(None, (one.outcome, one.reason))) or "not settled"
    message = f" ({printable(one.message)})" if one.message else ""
    if one.job is None:
        return f"batch {one.batch}, not sent: {ending}{message}"
    how = "adopted" if one.adopted else "sent"
    over = f", over {_at(one.ended)} as {one.state}" if one.ended else ""
    return f"batch {one.batch}, job {one.job} {how} {_at(one.sent)}{over}: {ending}{message}"


def _print_release(one: "Release") -> None:
    from workflows.names import printable

    body = one.record.body
    which = "released" if one.certain else f"perhaps released, among {show.counted(int(body['files']), 'file')}"
    show.say(
        f"{_at(one.record.at)}  {which} from the quarantine by {printable(one.record.actor)}: "
        f"{printable(str(body.get('reason') or body.get('why')))}"
    )


def _print_failing(one: "Failing") -> None:
    from workflows.names import printable

    state = f"in quarantine until {one.until:%Y-%m-%d %H:%M} UTC" if one.set_aside else "not in quarantine"
    times = show.counted(one.tries, "time")
    show.say(
        f"now at {one.site}: {state}; failed {times} in a row, last {one.reason}: {printable(one.message)}", "yellow"
    )


def _at(stamp: str | None) -> str:
    return "" if stamp is None else show.moment(datetime.fromisoformat(stamp))


def document(found: "FileHistory") -> dict[str, Any]:
    """Write a history as scripts read it."""
    from dataclasses import asdict

    from workflows.names import to_path

    return {
        "path": to_path(found.path),
        "site": found.site,
        "runs_looked_at": found.looked_at,
        "runs_in_all": found.runs_in_all,
        "runs": [
            {
                **{name: value for name, value in asdict(one).items() if name not in ("words", "tries")},
                "decisions": [_word(word) for word in one.words],
                "tries": [asdict(attempt) for attempt in one.tries],
            }
            for one in found.runs
        ],
        "releases": [{**_word(one.record), "certain": one.certain} for one in found.releases],
        "quarantine": [
            {
                "site": one.site,
                "quarantined": one.set_aside,
                "tries": one.tries,
                "reason": one.reason,
                "message": one.message,
                "until": show.stamp(one.until),
                "run": one.run,
            }
            for one in found.failing
        ],
        "unread": found.unread,
    }


def _word(record: "Stored") -> dict[str, Any]:
    body = record.body
    why = body.get("reason") or body.get("why") or ""
    return {"seq": record.seq, "at": record.at, "actor": record.actor, "event": record.event, "why": why}
