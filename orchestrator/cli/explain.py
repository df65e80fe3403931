"""`explain`: which rule of a policy takes a file and why, or why none does, and when that would change."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import (
    AsOfOption,
    JsonOption,
    PolicyArgument,
    SiteOption,
    narrowed,
    read_loaded,
    read_time,
)
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.hub.files import FileRecord
    from activities.quarantine import Failing
    from orchestrator.explaining import Explained, Part
    from orchestrator.settings import Settings
    from workflows.matching import Decision, Reason
    from workflows.policy import Policy
    from workflows.turning import NewTruth

_TRUTH = {True: ("green", "yes"), False: ("dim", "no "), None: ("yellow", "?  ")}
_MEANING = {
    "selected": "is selected",
    "kept": "stays: a rule keeps it",
    "stays": "stays: no rule matches it",
    "excluded": "is excluded",
    "unknown": "is not decided: the Hub does not tell what the policy needs",
}
_TURNS = {True: "matches from", False: "matches no more from", None: "hangs on what is not known from"}


def explain(
    policy_name: PolicyArgument,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file, as the Hub names it.")],
    site: SiteOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what a policy makes of one file: which rule and why, or why not, and when that would change."""
    import asyncio
    from datetime import UTC, datetime

    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, Stack
    from workflows.names import shown

    settings = load_settings()
    loaded, moment = read_loaded(settings, policy_name), read_time(as_of) or datetime.now(UTC)
    policy = narrowed(loaded.policy, site)
    with Stack(settings, HUB, tell=show.note) as stack:
        record = asyncio.run(_ask(stack.settings, policy, path))
    aside = _set_aside(settings, policy, path)
    if record is None:
        raise Refusal(
            f"The Hub knows no file {shown(path)}. `orchestrator hub GET /file/ --param path=...` shows a folder."
        )
    if record.type == "directory":
        raise Refusal(f"{shown(path)} is a folder: a policy decides about files. Name one of the files in it.")
    if record.type not in (None, "file"):
        kind = f"a {record.type}" if record.type != "other" else "a pipe, a socket or a device"
        raise Refusal(f"{shown(path)} is {kind}, not a file: no run ever takes it, whatever the rules say.")
    from orchestrator.explaining import explain_file

    found = explain_file(policy, loaded.document, record, round(moment.timestamp() * 1_000_000))
    if as_json:
        told = None if aside is None or aside.until is None else show.stamp(aside.until)
        show.document({**_plain(found, policy.name, show.stamp(moment)), "quarantined_until": told})
        return
    _print(found, policy.name)
    if aside is not None:
        show.say(f"\n{_aside_said(aside)}", style="yellow")
    if policy.select.source.manifest is not None:
        show.say(
            f"\nJudged by what the Hub says of this file. A run goes by the list {policy.select.source.manifest} "
            "alone: whether the file is in it, and what it says; all else is unknown there.",
            style="yellow",
        )


def _set_aside(settings: "Settings", policy: "Policy", path: str) -> "Failing | None":
    """Look whether the file is in quarantine, where no policy plans it."""
    from activities.quarantine import Quarantine

    quarantine = Quarantine(settings.quarantine.get_secret_value())
    try:
        return next((one for one in quarantine.find(path, policy.one_site) if one.set_aside), None)
    finally:
        quarantine.close()


def _aside_said(aside: "Failing") -> str:
    from workflows.names import printable

    return (
        f"But it is in quarantine: it failed {show.counted(aside.tries, 'time')} in a row, last with {aside.reason}: "
        f"{printable(aside.message)}. No policy plans it until {aside.until:%Y-%m-%d %H:%M} UTC; "
        "`orchestrator quarantine release PATH --why ...` ends that."
    )


async def _ask(settings: "Settings", policy: "Policy", path: str) -> "FileRecord | None":
    from activities.hub.files import stat
    from orchestrator.hub import open_hub
    from orchestrator.hub_doubts import expect_site

    async with open_hub(settings) as hub:
        await expect_site(hub, policy.one_site)
        return await stat(hub, policy.one_site, path)


def _print(found: "Explained", policy: str) -> None:
    from workflows.names import shown

    explanation = found.explanation
    colour = {"selected": "green", "unknown": "yellow"}.get(explanation.decision.verdict, "cyan")
    show.say(shown(explanation.path), whole=True)
    show.out().print(f"[{colour}]{_decided(explanation.decision)}[/] [dim]({policy})[/]")
    show.say(f"{found.file}:{found.decided_by.number}: {found.decided_by.text}", style="dim", whole=True)
    if found.never_seen is not None:
        show.say(found.never_seen, style="yellow", whole=True)
    if found.changes is not None:
        changed = _decided(found.changes.decision)
        show.say(f"from {_moment(found.changes.at_us)} on, if the file stays as it is: {changed}", whole=True)
    show.say()
    for part in found.parts:
        _print_part(part)


def _print_part(part: "Part") -> None:
    mark = f"  (line {part.line.number})" + ("  <- decides" if part.decides else "")
    if part.turns is not None:
        mark += f"  {_turning(part.turns)}"
    _print_reason(part.reason, f"{part.title}: ", 0, mark, bold=part.decides, told=part.turns)


def _print_reason(
    reason: "Reason", title: str, depth: int, mark: str = "", *, bold: bool = False, told: "NewTruth | None" = None
) -> None:
    colour, word = _TRUTH[reason.truth]
    show.out().print(f"[{colour}]{word}[/] {'  ' * depth}", end="")
    value = "" if reason.of else f"  [it is {_value(reason)}]"
    turns = _turns(reason)
    if turns is not None and (told is None or told.at_us != turns):
        mark += f"  {'no more' if reason.truth else 'yes'} from {_moment(turns)}"
    show.say(f"{title}{reason.condition}{value}{mark}", style="bold" if bold else None, whole=True)
    for part in reason.of:
        _print_reason(part, "", depth + 1)


def _turns(reason: "Reason") -> int | None:
    """When a condition on an age turns, where that moment has a date."""
    from workflows.turning import LAST_US

    return reason.turns_us if reason.turns_us is not None and reason.turns_us <= LAST_US else None


def _value(reason: "Reason") -> str:
    from workflows.names import printable

    if reason.value is None:
        return "not known"
    return printable(reason.value) or "empty"


def _decided(decision: "Decision") -> str:
    return _MEANING[decision.verdict] + (f" by rule {decision.rule}" if decision.rule else "")


def _turning(turns: "NewTruth") -> str:
    return f"{_TURNS[turns.truth]} {_moment(turns.at_us)}"


def _moment(at_us: int) -> str:
    """Write a moment in UTC; the first whole second at which it has come."""
    return _stamp(at_us).replace("T", " ").replace("Z", " UTC")


def _stamp(at_us: int) -> str:
    from datetime import UTC, datetime, timedelta

    seconds = -(-at_us // 1_000_000)
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _plain(found: "Explained", policy: str, as_of: str | None) -> dict[str, Any]:
    explanation, changes = found.explanation, found.changes
    return {
        "path": explanation.path,
        "policy": policy,
        "as_of": as_of,
        "attributes_from": "hub",
        "verdict": explanation.decision.verdict,
        "rule": explanation.decision.rule,
        "decided_by": {"file": found.file, "line": found.decided_by.number, "text": found.decided_by.text},
        "changes": changes
        and {"at": _stamp(changes.at_us), "verdict": changes.decision.verdict, "rule": changes.decision.rule},
        "never_seen": found.never_seen,
        "exclude": [{**_plain_reason(part.reason), **_plain_part(part)} for part in found.excludes],
        "rules": [
            {
                "rule": rule.rule,
                "keep": rule.keep,
                "truth": rule.truth,
                **_plain_part(part),
                "reason": _plain_reason(rule.reason),
            }
            for part, rule in zip(found.rules, explanation.rules, strict=True)
        ],
    }


def _plain_part(part: "Part") -> dict[str, Any]:
    turns = part.turns and {"at": _stamp(part.turns.at_us), "truth": part.turns.truth}
    return {"line": part.line.number, "decides": part.decides, "turns": turns}


def _plain_reason(reason: "Reason") -> dict[str, Any]:
    turns = _turns(reason)
    return {
        "condition": reason.condition,
        "truth": reason.truth,
        "value": reason.value,
        "turns_at": None if turns is None else _stamp(turns),
        "of": [_plain_reason(part) for part in reason.of],
    }
