"""`explain`: which rule of a policy takes a file and why, or why none does."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import AsOfOption, JsonOption, PolicyArgument, read_policy, read_time
from orchestrator.cli.endings import Refusal

if TYPE_CHECKING:
    from activities.hub.files import FileRecord
    from orchestrator.settings import Settings
    from workflows.matching import Explanation, Reason
    from workflows.policy import Policy

_TRUTH = {True: ("green", "yes"), False: ("dim", "no "), None: ("yellow", "?  ")}
_MEANING = {
    "selected": "is selected",
    "kept": "stays: a rule keeps it",
    "stays": "stays: no rule matches it",
    "excluded": "is excluded",
    "unknown": "is not decided: the Hub does not tell what the policy needs",
}


def explain(
    policy_name: PolicyArgument,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file, as the Hub names it.")],
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what a policy makes of one file: which rule and why, or why not."""
    import asyncio
    from datetime import UTC, datetime

    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, Stack

    settings = load_settings()
    policy, moment = read_policy(settings, policy_name), read_time(as_of) or datetime.now(UTC)
    with Stack(settings, HUB, tell=show.note) as stack:
        record = asyncio.run(_ask(stack.settings, policy, path))
    if record is None:
        raise Refusal(f"The Hub knows no file {path}. `orchestrator hub GET /file/ --param path=...` shows a folder.")
    if record.type == "directory":
        raise Refusal(f"{path} is a folder: a policy decides about files. Name one of the files in it.")
    from workflows.matching import explain as explained

    found = explained(policy.select, _facts(record), round(moment.timestamp() * 1_000_000))
    if as_json:
        show.document(_plain(found, policy.name, show.stamp(moment)))
    else:
        _print(found, policy.name)
        if policy.select.source.manifest is not None:
            show.say(
                f"\nJudged by what the Hub says of this file. A run goes by the list {policy.select.source.manifest} "
                "alone: whether the file is in it, and what it says; all else is unknown there.",
                style="yellow",
            )


async def _ask(settings: "Settings", policy: "Policy", path: str) -> "FileRecord | None":
    from activities.hub.files import stat
    from orchestrator.hub import open_hub

    async with open_hub(settings) as hub:
        return await stat(hub, policy.site, path)


def _facts(record: "FileRecord") -> Any:
    from workflows.matching import FileFacts
    from workflows.names import to_text

    return FileFacts(
        path=to_text(record.path),
        size=record.size,
        disk_usage=record.disk_usage,
        accessed=record.atime,
        modified=record.mtime,
        changed=record.ctime,
        status=record.status,
        owner=record.owner,
        group=record.group,
        metadata=record.metadata,
    )


def _print(found: "Explanation", policy: str) -> None:
    from workflows.names import shown

    decision = found.decision
    by = f" by rule {decision.rule}" if decision.rule else ""
    colour = {"selected": "green", "unknown": "yellow"}.get(decision.verdict, "cyan")
    show.say(shown(found.path), whole=True)
    show.out().print(f"[{colour}]{_MEANING[decision.verdict]}{by}[/] [dim]({policy})[/]\n")
    for reason in found.exclude:
        _print_reason(reason, "exclude: ", 0)
    for rule in found.rules:
        mark = "  <- decides" if rule.decides else ""
        kept = " (keep)" if rule.keep else ""
        _print_reason(rule.reason, f"rule {rule.rule}{kept}: ", 0, mark)


def _print_reason(reason: "Reason", title: str, depth: int, mark: str = "") -> None:
    colour, word = _TRUTH[reason.truth]
    show.out().print(f"[{colour}]{word}[/] {'  ' * depth}", end="")
    value = f"  [it is {reason.value or 'empty'}]" if reason.value is not None and not reason.of else ""
    show.say(f"{title}{reason.condition}{value}{mark}", style="bold" if mark else None, whole=True)
    for part in reason.of:
        _print_reason(part, "", depth + 1)


def _plain(found: "Explanation", policy: str, as_of: str | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "path": found.path,
        "policy": policy,
        "as_of": as_of,
        "attributes_from": "hub",
        "verdict": found.decision.verdict,
        "rule": found.decision.rule,
        "exclude": [asdict(reason) for reason in found.exclude],
        "rules": [asdict(rule) for rule in found.rules],
    }
