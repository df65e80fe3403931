"""`plan`: exactly what a run of this policy would do now; nothing moves."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import show
from orchestrator.cli.arguments import (
    AsOfOption,
    JsonOption,
    PolicyArgument,
    SiteOption,
    narrowed,
    read_policy,
    read_time,
)
from orchestrator.cli.endings import Ending

if TYPE_CHECKING:
    from orchestrator.previews import Preview
    from workflows.policy import Policy

_WHY = {
    "excluded": "excluded",
    "kept": "kept by a rule",
    "no_rule": "no rule matches",
    "unknown_attribute": "an attribute is unknown",
    "limit_reached": "beyond the limit",
    "directories": "not a file",
}


def plan(
    policy_name: PolicyArgument,
    files: Annotated[int, typer.Option("--files", min=0, help="Show so many files of the plan, the first ones.")] = 5,
    site: SiteOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a policy: which files, by which rule, in which batches, and what the guards say. Nothing moves."""
    from orchestrator.settings import load_settings
    from orchestrator.stack import HUB, Stack

    settings = load_settings()
    policy, moment = narrowed(read_policy(settings, policy_name), site), read_time(as_of)
    with Stack(settings, HUB, tell=show.note) as stack:
        from orchestrator.previews import first_files, preview

        with show.waiting("asking the Hub") as status:
            tell = (lambda line: status.update(line)) if status is not None else (lambda line: None)
            found = asyncio.run(preview(stack.settings, policy, as_of=moment, tell=tell))
        first = first_files(settings, found.plan, files)
        from orchestrator.unknowns import passed_over_line

        unknown = passed_over_line(settings, found.plan)
    if as_json:
        show.document(_document(found, policy, first))
    else:
        _print(found, policy, first, unknown)
    if found.refused_by is not None:
        raise typer.Exit(Ending.ENDED_BADLY)


def _document(found: "Preview", policy: "Policy", first: list[tuple[str, int | None]]) -> dict[str, Any]:
    plan, inventory = found.plan, found.inventory
    return {
        "policy": policy.name,
        "policy_digest": plan.policy_digest,
        "digest": plan.digest,
        "manifest": plan.manifest,
        "as_of": show.stamp(plan.as_of),
        "files": plan.files,
        "bytes": plan.bytes,
        "batches": plan.batches,
        "rules": [rule.model_dump() for rule in plan.rules],
        "passed_over": plan.passed_over,
        "scope": {"files": plan.scope_files, "bytes": plan.scope_bytes},
        "inventory": {"name": inventory.name, "complete": inventory.complete, "problems": inventory.problems},
        "truncated_by_guard": plan.truncated_by_guard,
        "refused_by": found.refused_by,
        "first": [{"path": path, "size": size} for path, size in first],
    }


def _print(found: "Preview", policy: "Policy", first: list[tuple[str, int | None]], unknown: str | None) -> None:
    from workflows.names import printable, shown

    plan, inventory = found.plan, found.inventory
    show.say(f"{policy.name}: {policy.run.workflow} on {policy.one_site}", style="bold")
    table = show.grid("", ">files", ">size")
    for rule in plan.rules:
        table.add_row(f"rule {rule.name}", show.number(rule.files), show.size(rule.bytes), style="green")
    for reason, count in sorted(plan.passed_over.items()):
        table.add_row(f"[dim]stays: {_WHY.get(reason, reason)}[/]", f"[dim]{show.number(count)}[/]", "")
    table.add_section()
    table.add_row("looked at", show.number(plan.scope_files), show.size(plan.scope_bytes))
    show.table(table)
    batches = show.counted(plan.batches, "batch", "batches")
    show.facts(
        {
            "Would send": f"{show.counted(plan.files, 'file')}, {show.size(plan.bytes)}, in {batches}",
            "Ages from": show.moment(plan.as_of),
            "Digest": plan.digest,
        }
    )
    if unknown is not None:
        show.say(f"\n{unknown}", style="yellow")
    if not plan.files:
        show.say("\nNo file is selected: a run would do nothing.", style="yellow")
    if first:
        show.say()
        for path, size in first:
            show.out().print(f"[dim]{'' if size is None else show.size(size):>10}[/]  ", end="")
            show.say(shown(path), whole=True)
        if plan.files > len(first):
            show.note(f"{'':>10}  and {show.number(plan.files - len(first))} more (--files N)")
    if inventory.problems:
        show.say(f"\n{show.counted(inventory.problems, 'problem')} while reading the namespace, for example:")
        for example in inventory.examples:
            show.say(f"  {printable(example)}", style="yellow")
    if found.refused_by is not None:
        show.say(f"\nA run would be refused: {found.refused_by}.", style="red")
