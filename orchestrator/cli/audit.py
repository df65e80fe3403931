"""`orchestrator audit`: read what happened, and prove that nobody changed it since."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import audit_file, audit_period, audit_proof, show
from orchestrator.cli.arguments import JsonOption, known_word
from orchestrator.cli.audit_log import moment_of, opened_log
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.ledger.log import AuditLog
    from activities.ledger.records import Stored

_RUNS_LOOKED_AT = 1_000

audit_app = typer.Typer(
    help="Read the audit, prove that it is whole, and ask what happened to a file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@audit_app.command("list")
def list_records(
    run: Annotated[str | None, typer.Option(help="Only this run's records.")] = None,
    policy: Annotated[str | None, typer.Option(help="Only records of this policy and of its runs.")] = None,
    event: Annotated[str | None, typer.Option(help="Only this event, such as job.submitted, or a kind: job.*")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did: ann@host, or ann at any host.")] = None,
    text: Annotated[str | None, typer.Option(help="Only records in which this text stands.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this time on: 2026-05-01T10:00Z, or an age: 2h.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before this time, or age.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="NUMBER", help="The newest ones before this record.")] = None,
    after: Annotated[int | None, typer.Option(metavar="NUMBER", help="The oldest ones after this record.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a record, with its hashes.")] = False,
) -> None:
    """Show the newest records, the oldest of them first."""
    from activities.ledger.finding import Wanted

    _know_event(event)
    start, end = moment_of("--since", since), moment_of("--until", until)
    wanted = Wanted(run=run, event=event, actor=actor, policy=policy, text=text, since=start, until=end)
    with opened_log() as (log, _):
        page = log.find(wanted, before=before, after=after, limit=limit)
        if run is not None and not page.records:
            _refuse_unknown(log, run)
    if as_json:
        for record in page.records:
            show.document(record.model_dump(mode="json", exclude={"same"}))
    elif page.records:
        _print_lines(page.records)
        if after is None and page.older is not None:
            show.note(f"Older ones: --before {page.older}")
        if after is not None and page.newer is not None:
            show.note(f"Newer ones: --after {page.newer}")
    else:
        show.note("No such records.")


@audit_app.command("show")
def show_record(
    which: Annotated[str, typer.Argument(metavar="RECORD", help="Its number, its key, or how its hash begins.")],
    as_json: JsonOption = False,
) -> None:
    """Show one record with all of its fields, and its place in the chain."""
    with opened_log() as (log, _):
        record = _named(log, which)
        neighbours = log.hashes([record.seq - 1, record.seq + 1])
        fits = log.fits(record.seq)
    before, after = neighbours.get(record.seq - 1), neighbours.get(record.seq + 1)
    linked = record.prev_hash == before or (record.seq == 1 and before is None)
    if as_json:
        told = {**record.model_dump(mode="json", exclude={"same"}), "hash_fits": fits, "linked": linked}
        show.document({**told, "hash_before": before, "hash_after": after})
        return
    _print_record(record)
    show.say()
    show.facts(
        {
            "key": record.key,
            "hash": f"{record.hash}  {'(fits the record)' if fits else 'DOES NOT FIT THE RECORD'}",
            "before it": f"{record.prev_hash}  {'(as there)' if linked else f'BUT THERE IT IS {before}'}",
            "after it": after or "it is the last record",
        }
    )
    show.note("`orchestrator audit verify` looks at the whole chain.")


audit_app.command("verify")(audit_proof.verify)
audit_app.command("export")(audit_proof.export)
audit_app.command("report")(audit_period.report)
audit_app.command("file")(audit_file.file)
audit_app.command("checkpoint")(audit_proof.checkpoint)
audit_app.command("key")(audit_proof.key)


def _know_event(event: str | None) -> None:
    from activities.ledger.events import Event

    known = [str(one) for one in Event]
    if event is not None and event.endswith(".*"):
        known_word("--event", event, sorted({f"{one.partition('.')[0]}.*" for one in known}))
    else:
        known_word("--event", event, known)


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


def _named(log: "AuditLog", which: str) -> "Stored":
    if which.isdecimal() and len(which) < 19 and (record := log.at(int(which))) is not None:
        return record
    if (record := log.get(which)) is not None:
        return record
    if len(which) >= 6 and set(which.lower()) <= set("0123456789abcdef"):
        found = log.with_hash(which.lower())
        if len(found) == 1:
            return found[0]
        if found:
            raise Refusal(f"{which}: several hashes begin so, give more of it")
    raise Refusal(f"{which}: no record has this number, key or hash; the last one has number {log.end()[0]}")


def _print_record(record: "Stored") -> None:
    from workflows.names import printable

    show.say(f"Record {record.seq:,}: {record.event}", "bold")
    where = {"run": printable(record.run)} if record.run else {}
    show.facts({"at": record.at, "by": printable(record.actor), **where})
    body = _in_told_order(record)
    if body:
        show.say()
        show.facts({name: _value(value) for name, value in body.items()})


def _value(value: Any) -> str:
    import json

    from workflows.names import printable

    return printable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_lines(records: "list[Stored]") -> None:
    from workflows.names import printable

    for record in records:
        when = show.moment(datetime.fromisoformat(record.at))
        who = printable(record.actor) + (f" in run {printable(record.run)}" if record.run else "")
        show.say(f"{record.seq:>7}  {when}  {record.event}  by {who}", "bold")
        told = printable(_gist(_in_told_order(record)))
        if told:
            show.say(f"{'':>9}{told}")


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
