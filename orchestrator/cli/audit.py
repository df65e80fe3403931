"""`orchestrator audit`: read what happened, and prove that nobody changed it since."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import known_word
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from activities.ledger.log import AuditLog
    from activities.ledger.records import Stored
    from activities.ledger.verdict import Verdict

_RUNS_LOOKED_AT = 1_000

audit_app = typer.Typer(
    help="Read the audit, and verify its chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@audit_app.command("list")
def list_records(
    run: Annotated[str | None, typer.Option(help="Only this run's records.")] = None,
    event: Annotated[str | None, typer.Option(help="Only this event, such as job.submitted.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this time on: 2026-05-01T10:00Z, or an age: 2h.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a record, with its hashes.")] = False,
) -> None:
    """Show the newest records, the oldest of them first."""
    from activities.ledger.events import Event

    known_word("--event", event, [str(one) for one in Event])
    start = None if since is None else _moment(since)
    with _opened() as log:
        found = log.records(run=run, event=event, since=start, limit=limit, newest=True)
        if run is not None and not found:
            _refuse_unknown(log, run)
    if as_json:
        for record in found:
            show.document(record.model_dump(mode="json", exclude={"same"}))
    elif found:
        _print_lines(found)
    else:
        show.note("No such records.")


@audit_app.command()
def verify(
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="[COUNT:]HASH",
            help="A last hash that was noted before; with its count of records the record must have that place.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as one JSON document.")] = False,
) -> None:
    """Check every record against its hash and the record before it; exit code 1 when the chain is broken or cut off."""
    count, digest = (None, None) if expect is None else _noted(expect)
    started = time.monotonic()
    with _opened() as log, show.waiting("Walking the chain ..."):
        verdict = log.verify()
        broken = None if verdict.broken_at is None else _record_at(log, verdict.broken_at)
        place = None if digest is None else log.place_of(digest)
    missing = None if digest is None else _unexpected(verdict, count, place)
    if as_json:
        told = {} if digest is None else {"expected": digest, "expected_at": place, "unexpected": missing}
        show.document({**verdict.model_dump(mode="json"), **told, "ok": verdict.ok and missing is None})
    else:
        _print_verdict(verdict, broken, time.monotonic() - started)
        if missing is not None:
            show.say(f"It is NOT the audit whose hash was noted: {missing}.", "bold red")
        elif digest is not None:
            after = show.counted(verdict.count - (place or 0), "record")
            show.say(f"The noted hash is that of record {show.number(place or 0)}, {after} before the end.", "green")
    if not verdict.ok or missing is not None:
        raise typer.Exit(Ending.ENDED_BADLY)


def _refuse_unknown(log: "AuditLog", run: str) -> None:
    """Refuse a run that nothing at all is recorded of."""
    from activities.ledger.events import Event
    from workflows.units import nearest

    if log.records(run=run, limit=1):
        return
    newest = log.records(event=str(Event.RUN_STARTED), limit=_RUNS_LOOKED_AT, newest=True)
    close = nearest(run, [str(one.run) for one in newest])
    there = f"did you mean `{close}`?" if close else "`orchestrator runs list` shows those there are"
    raise Refusal(f"--run {run}: nothing is recorded of such a run: {there}")


def _noted(text: str) -> tuple[int | None, str]:
    found = re.fullmatch(r"(?:(\d{1,18}):)?([0-9a-f]{64})", text.strip().lower())
    if found is None:
        raise Refusal(f"--expect {text}: expected a hash as `audit verify` shows it: 64 hex digits, or COUNT:HASH")
    return (None if found[1] is None else int(found[1])), found[2]


def _unexpected(verdict: "Verdict", count: int | None, place: int | None) -> str | None:
    """Say why the chain is not a continuation of the noted one; None when it is."""
    if place is None:
        return "no record has it, so records were cut off, or it is of another audit"
    if count is not None and place != count:
        return f"it was noted of record {show.number(count)}, and is that of record {show.number(place)}"
    if not verdict.ok and place > verdict.count:
        return f"the chain is broken before record {show.number(place)}, whose hash it is"
    return None


@contextmanager
def _opened() -> Iterator["AuditLog"]:
    from activities.ledger.log import AuditLog
    from activities.ledger.records import AuditError, AuditUnavailable
    from orchestrator.settings import load_settings

    settings = load_settings()
    try:
        log = AuditLog(settings.audit.get_secret_value())
        if not log.is_there():
            raise Refusal(
                "There is no audit yet: no run has written one. ORCHESTRATOR_STATE_DIR and _AUDIT_URL say where."
            )
        try:
            yield log
        finally:
            log.close()
    except AuditUnavailable as error:
        raise Refusal(f"{error}", Ending.UNREACHABLE) from error
    except AuditError as error:
        raise Refusal(f"{error}") from error


def _moment(text: str) -> datetime:
    from workflows.units import parse_duration

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - parse_duration(text)
        except (ValueError, OverflowError):
            raise Refusal(f"--since {text}: expected a time such as 2026-05-01T10:00Z or an age such as 2h") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _record_at(log: "AuditLog", seq: int) -> "Stored | None":
    return next((record for record in log.records(after=seq - 1, limit=1) if record.seq == seq), None)


def _print_lines(records: "list[Stored]") -> None:
    from workflows.names import printable

    for record in records:
        when = show.moment(datetime.fromisoformat(record.at))
        who = printable(record.actor) + (f" in run {printable(record.run)}" if record.run else "")
        show.say(f"{record.seq:>7}  {when}  {record.event}  by {who}", "bold")
        told = printable(_gist(_in_told_order(record)))
        if told:
            show.say(f"{'':>9}{told}")


def _print_verdict(verdict: "Verdict", broken: "Stored | None", seconds: float) -> None:
    records = show.counted(verdict.count, "record")
    if verdict.ok:
        show.say(f"The audit is whole: {records}, each as it was written ({show.span(seconds)}).", "green")
        show.facts({"last hash": verdict.head})
        show.note(
            "Note it elsewhere; later this proves that no record was cut off:\n"
            f"  orchestrator audit verify --expect {verdict.count}:{verdict.head}"
        )
        return
    show.say(f"The audit is BROKEN at record {verdict.broken_at}.", "bold red")
    facts = {"why": str(verdict.why), "still good": f"{records} before it", "last good hash": verdict.head}
    if broken is not None:
        facts["it now says"] = f"{broken.at} {broken.event} by {broken.actor}"
    show.facts(facts)


def _in_told_order(record: "Stored") -> dict[str, Any]:
    from activities.ledger.events import BODY, Event

    told = BODY[Event(record.event)] if record.event in set(Event) else {}
    return {name: record.body[name] for name in (*told, *sorted(set(record.body) - set(told))) if name in record.body}


def _gist(body: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {_short(value)}" for name, value in body.items() if value not in (None, "", {}, []))


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + _gist(value) + "}"
    text = str(value)
    return text[:12] + "…" if len(text) == 64 and text.isalnum() else text
