"""`events`: what happened elsewhere, as it was received; what it started; send one, or act on one again."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import JsonOption, ReasonOption
from orchestrator.cli.endings import Ending, Refusal

if TYPE_CHECKING:
    from workflows.events import CloudEvent

app = typer.Typer(
    name="events",
    help="Events from elsewhere: list, show, act again, send.",
    no_args_is_help=True,
    add_completion=False,
)
REPLAYED = ("replayof", "replayedby", "replayreason")
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The event's id, or SOURCE/ID.")]


@app.command("list")
def list_events(
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only those that no policy wants.")] = False,
    kind: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="At most so many, the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the events that were received, which policies wanted each, and the runs that they started."""
    from orchestrator.event_records import event_records

    found = _asked(lambda log: event_records(log, limit=limit, unmatched=unmatched, kind=kind))
    if as_json:
        show.document(found)
    elif not found:
        show.say("No such event yet.")
    else:
        table = show.grid("when", "type", "id", "source", "what it started")
        for one in found:
            when = show.moment(datetime.fromisoformat(one["at"]))[5:16]
            table.add_row(when, one["type"], one["id"], one["source"], _started(one))
        show.table(table)


@app.command("show")
def show_event(event: IdArgument, as_json: JsonOption = False) -> None:
    """Show one event: what it says, which policies wanted it, and what it started."""
    one = _one(event)
    if as_json:
        show.document(one)
        return
    facts = {"Event": one["id"], "Source": one["source"], "Type": one["type"], "Received": one["at"]}
    facts |= {word.capitalize(): str(one[word]) for word in ("subject", "time") if one[word] is not None}
    facts |= {word: str(value) for word, value in one["attributes"].items() if word not in REPLAYED}
    if "replayof" in one["attributes"]:
        facts["Replay of"] = "{replayof}, by {replayedby}: {replayreason}".format_map(
            {**dict.fromkeys(REPLAYED, "?"), **one["attributes"]}
        )
    facts |= {"Data": json.dumps(one["data"], ensure_ascii=False), "Started": _started(one)}
    show.facts(facts)


@app.command()
def replay(event: IdArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Act on an event again: it is told under a new id, with the old one, who wants it and why."""
    from orchestrator.event_records import replayed
    from workflows.events import LONGEST_NAME

    if not reason.strip():
        raise Refusal("say why, for whoever reads the audit: --reason '...'")
    again = replayed(_one(event), actor=show.actor(), reason=reason.strip()[:LONGEST_NAME])
    _tell(again)
    _said(again, as_json)


@app.command()
def send(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="The event's type.")],
    data: Annotated[str, typer.Option("--data", help="What it says, as JSON.")] = "{}",
    identity: Annotated[str | None, typer.Option("--id", help="Its id; default: a new one.")] = None,
    source: Annotated[str, typer.Option("--source", help="Who tells of it.")] = "cli",
    url: Annotated[
        str | None, typer.Option("--url", help="Sign it and post it there, e.g. https://host/events.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send an event: signed to a URL, or without one straight to the engine."""
    from uuid import uuid4

    from orchestrator.web.cloud_events import STRUCTURED, Malformed, TooLarge, read
    from workflows.events import LARGEST_EVENT

    try:
        said = json.loads(data)
    except ValueError as error:
        raise Refusal(f"--data is no JSON: {error}. Text needs its own quotes: --data '\"text\"'") from None
    told = {"specversion": "1.0", "id": identity or str(uuid4()), "source": source, "type": kind}
    body = json.dumps({**told, "data": said}).encode()
    try:
        if len(body) > LARGEST_EVENT:
            raise TooLarge(f"An event has at most {LARGEST_EVENT} bytes.")
        event = read({"content-type": STRUCTURED}, body, "")[0]
    except (Malformed, TooLarge) as error:
        raise Refusal(str(error)) from None
    if url is None:
        _tell(event)
    else:
        _post(url, body)
    _said(event, as_json)


def _post(url: str, body: bytes) -> None:
    import httpx

    from orchestrator.settings import load_settings
    from orchestrator.web.cloud_events import STRUCTURED
    from orchestrator.web.signature import keys_of, signed_headers

    secrets = load_settings().event_secrets
    if secrets is None:
        raise Refusal("ORCHESTRATOR_EVENT_SECRETS is not set: the event cannot be signed.")
    headers = {"content-type": STRUCTURED, **signed_headers(keys_of(secrets.get_secret_value())[0], body)}
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise Refusal(f"{url} does not answer: {error}", Ending.UNREACHABLE) from None
    if answer.status_code != 202:
        raise Refusal(f"{url} answered {answer.status_code}: {answer.text[:500]}", Ending.ENDED_BADLY)


def _tell(event: "CloudEvent") -> None:
    from activities.router_line import RouterBusy, tell_router
    from orchestrator.cli.engine import with_engine

    try:
        with_engine(lambda engine: tell_router(engine.client, engine.settings.task_queue, [event]))
    except RouterBusy as error:
        raise Refusal(str(error), Ending.UNREACHABLE) from None


def _said(event: "CloudEvent", as_json: bool) -> None:
    if as_json:
        show.document(event.model_dump(mode="json"))
    else:
        show.say(f"Sent {event.text}. `orchestrator events show {event.id}` tells what it starts.")


def _one(name: str) -> Any:
    from orchestrator.event_records import find_event

    found = _asked(lambda log: find_event(log, name))
    if not found:
        raise Refusal(f"no event {name} was received: `orchestrator events list` shows those that were")
    if len({one["source"] for one in found}) > 1:
        raise Refusal("several have this id: " + ", ".join(f"{one['source']}/{one['id']}" for one in found))
    return found[-1]


def _asked(ask: Any) -> Any:
    from activities.ledger.log import AuditLog
    from orchestrator.settings import load_settings

    log = AuditLog(load_settings().audit.get_secret_value())
    try:
        return ask(log)
    finally:
        log.close()


def _started(one: dict[str, Any]) -> str:
    if one["starts"]:
        return ", ".join(_start(each) for each in one["starts"])
    wanted = sorted({each["policy"] for each in one["matched"]})
    return f"settles for {', '.join(wanted)}" if wanted else "nothing: no policy wants it"


def _start(each: dict[str, Any]) -> str:
    with_whom = f" (with {each['with']})" if "with" in each else ""
    what = each.get("run") or f"{each['policy']} {each['state']}" + (f": {each['why']}" if each.get("why") else "")
    return what + with_whom
