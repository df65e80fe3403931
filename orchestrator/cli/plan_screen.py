"""A plan on one screen for a storage administrator: what would move, whose it is, what stands in its way."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.cli import show
from workflows.running import stage_said

if TYPE_CHECKING:
    from activities.plan_report import OwnerCount, PlannedFile, RuleReport
    from orchestrator.previews import Preview

_WHY = {
    "excluded": "excluded",
    "kept": "kept by a rule",
    "no_rule": "no rule matches",
    "unknown_attribute": "attribute unknown",
    "limit_reached": "beyond the limit",
    "quarantined": "in quarantine: they keep failing",
    "not_failed": "did not fail in the run that is retried",
}
_FEW = 3
_FEW_OWNERS = 2
_BY = {"accessed": "last access", "modified": "last change of content", "changed": "last change"}


def print_preview(found: "Preview", first: list[tuple[str, int | None]], *, full: bool) -> None:
    """Print the plan; `full` shows everything that was counted."""
    policy = found.policy
    steps = ", then ".join(stage_said(step) for step in policy.run.steps)
    show.say(f"{policy.name}: {steps} on {policy.one_site}", style="bold")
    _print_difference(found)
    _print_rules(found)
    show.facts(dict(_facts(found)))
    if full:
        for rule in found.report.rules:
            _print_owners(rule)
    count = len(found.report.largest) if full else _FEW
    _print_files("Largest", found.report.largest[:count], full=full)
    _print_files(f"Oldest by {_BY[found.report.age_by]}", found.report.oldest[:count], full=full, with_age=True)
    _print_first(first, found.plan.files)
    _print_warnings(found)


def _print_rules(found: "Preview") -> None:
    from rich.markup import escape

    from orchestrator.linting.contradictions import condition_said

    plan, report = found.plan, found.report
    table = show.grid("", ">files", ">size", "owners")
    for index in report.idle_excludes:
        said = escape(condition_said(found.policy.select.exclude[index]))
        table.add_row(f"[yellow]exclude {said}[/]", "[yellow]0[/]", "", "[yellow]matches nothing[/]")
    for rule in report.rules:
        table.add_row(*_rule_row(rule))
    for word, amount in report.passed_over.items():
        if word != "kept":
            numbers = (show.number(amount.files), show.size(amount.bytes))
            table.add_row(f"stays: {_WHY.get(word, word)}", *numbers, "", style="dim")
    table.add_section()
    table.add_row("looked at", show.number(plan.scope_files), show.size(plan.scope_bytes), "")
    show.table(table)


def _rule_row(rule: "RuleReport") -> tuple[str, str, str, str]:
    if not rule.matched.files:
        colour = "dim" if rule.keep else "yellow"
        return (f"[{colour}]rule {rule.name}[/]", f"[{colour}]0[/]", "", f"[{colour}]matches nothing[/]")
    if rule.keep:
        numbers = (f"[dim]{show.number(rule.matched.files)}[/]", f"[dim]{show.size(rule.matched.bytes)}[/]")
        return (f"[dim]rule {rule.name}: stays[/]", *numbers, "")
    numbers = (f"[green]{show.number(rule.files)}[/]", f"[green]{show.size(rule.bytes)}[/]")
    return (f"[green]rule {rule.name}[/]", *numbers, _owners(rule))


def _owners(rule: "RuleReport") -> str:
    """Name the greatest owners, with their share of the bytes (of the files where no size is known)."""
    from rich.markup import escape

    if not rule.files:
        return f"{show.number(rule.matched.files)} match, none within the limit"
    if [one.owner for one in rule.owners] == [None]:
        return ""
    shares = [
        f"{escape(_name(one))} {100 * one.bytes / rule.bytes if rule.bytes else 100 * one.files / rule.files:.0f}%"
        for one in rule.owners[:_FEW_OWNERS]
    ]
    more = rule.all_owners - len(shares)
    return ", ".join([*shares, *([f"{show.number(more)} more"] if more else [])])


def _facts(found: "Preview") -> Iterator[tuple[str, str]]:
    from activities.plan_report import Amount

    plan = found.plan
    cut = ", cut by a guard" if plan.truncated_by_guard else ""
    batches = show.counted(plan.batches, "batch", "batches")
    if found.policy.select.source.discovery is not None:
        yield (
            "Would send",
            f"{show.counted(plan.files, 'folder')}, in which the Hub finds the files by itself, in {batches}",
        )
    else:
        there = found.report.there_already if found.policy.run.recheck is not None else Amount()
        files, size = plan.files - there.files, plan.bytes - there.bytes
        yield "Would send", f"{show.counted(files, 'file')}, {show.size(size)}, in {batches}{cut}"
        if there.files:
            yield "Would skip", _there_already(found)
    yield "Takes", _time(found)
    if found.pool is not None and plan.files:
        yield "Pool", _pool(found)
    yield "Inventory", _inventory(found)
    if found.report.unknown:
        yield "Unknown", ", ".join(f"{name} of {counts.files:,} files" for name, counts in found.report.unknown.items())
    yield "Guards", _guards(found)
    yield "Approval", _approval(found)
    yield "Ages from", show.moment(plan.as_of) + ("" if plan.as_of == found.made else ", as asked, not from now")
    yield "Digest", plan.digest


def _there_already(found: "Preview") -> str:
    from workflows.order import THERE_ALREADY

    there = found.report.there_already
    where = " or ".join(THERE_ALREADY[found.policy.run.hub_workflows[-1]])
    are = "is" if there.files == 1 else "are"
    return f"{show.counted(there.files, 'file')}, {show.size(there.bytes)}: {are} {where} already (already_done)"


def _time(found: "Preview") -> str:
    guess = found.estimate
    if not found.plan.files:
        return "no time"
    if guess is None:
        return f"unknown: no past run of {found.policy.name} to go by"
    if guess.runs == 1:
        return f"about {show.span(guess.seconds)}, at the rate of the only past run"
    span = f"{show.span(guess.shortest)} to {show.span(guess.longest)}"
    return f"about {show.span(guess.seconds)} ({span}), at the rates of the last {guess.runs} runs"


def _pool(found: "Preview") -> str:
    from workflows.names import printable

    pool, report = found.pool, found.report
    assert pool is not None
    now = f"{printable(pool.name)} at {pool.percent:.1f}%"
    if report.freed_unknown == found.plan.files:
        return f"{now}; afterwards unknown, since the files' disk usage is"
    marks = "" if pool.lower is None or pool.upper is None else f" (marks {pool.lower:g}% and {pool.upper:g}%)"
    least = "at least " if report.freed_unknown else ""
    return (
        f"{now}, {pool.percent_after(report.freed):.1f}% afterwards{marks}: {least}{show.size(report.freed)} freed, "
        f"if all these files lie in it ({pool.why})"
    )


def _inventory(found: "Preview") -> str:
    inventory = found.inventory
    whole = "complete" if inventory.complete else f"NOT complete, {show.counted(inventory.problems, 'problem')}"
    age = show.span(max(found.ready - inventory.taken_at, timedelta(0)))
    listed = found.policy.select.source.manifest
    where = f"listed in {listed}" if listed else f"in {show.counted(inventory.directories, 'folder')}"
    return f"{whole}, begun {age} ago: {show.counted(inventory.files, 'file')} {where}"


def _guards(found: "Preview") -> str:
    from workflows.policy import Guards

    if found.standing.refused_by is not None:
        return "a run would be refused, see below"
    if found.policy.guards == Guards():
        return "none set"
    return "a person is asked, see Approval" if found.standing.exceeded else "hold"


def _approval(found: "Preview") -> str:
    stands = found.standing
    if stands.asks is None:
        return "not needed"
    if stands.asks_nobody:
        return f"given by the policy itself (approval.auto), since {stands.asks}"
    who = "somebody else than who starts the run" if stands.not_by_owner else "a person"
    return f"{who} must agree within {show.span(stands.expires)}: {stands.asks}"


def _print_difference(found: "Preview") -> None:
    from workflows.names import shown

    if found.difference is None:
        return
    diff = found.difference.diff
    show.say(f"Against {found.difference.words}", style="bold")
    table = show.grid("", ">files", ">size")
    for word, share, colour in (
        ("added", diff.added, "green"),
        ("removed", diff.removed, "red"),
        ("same", diff.same, ""),
    ):
        table.add_row(word, show.number(share.files), show.size(share.bytes), style=colour if share.files else "dim")
    show.table(table)
    for sign, share in (("+", diff.added), ("-", diff.removed)):
        for path in share.examples:
            show.say(f"  {sign} {shown(path)}", whole=True)
        if share.files > len(share.examples):
            show.say(f"  {sign} and {show.number(share.files - len(share.examples))} more", style="dim")
    if diff.resized:
        show.say(f"  {show.counted(diff.resized, 'file')} in both changed in size", style="dim")
    show.say()


def _print_owners(rule: "RuleReport") -> None:
    from rich.markup import escape

    if not rule.owners:
        return
    show.say(f"\nOwners of what rule {rule.name} takes", style="bold")
    table = show.grid("owner", ">files", ">size")
    for one in rule.owners:
        table.add_row(escape(_name(one)), show.number(one.files), show.size(one.bytes))
    if rule.all_owners > len(rule.owners):
        table.add_row(f"[dim]and {show.number(rule.all_owners - len(rule.owners))} more[/]", "", "")
    show.table(table)


def _print_files(title: str, files: "Sequence[PlannedFile]", *, full: bool, with_age: bool = False) -> None:
    from workflows.names import shown

    if not files:
        return
    show.say(f"\n{title}", style="bold")
    for file in files:
        size = "" if file.size is None else show.size(file.size)
        age = f"{_day(file.age_us)}  " if with_age else ""
        show.out().print(f"[dim]{age}{size:>10}[/]  ", end="")
        show.say(shown(file.path), whole=True)


def _print_first(first: list[tuple[str, int | None]], files: int) -> None:
    from workflows.names import shown

    if not first:
        return
    show.say("\nFirst", style="bold")
    for path, size in first:
        show.out().print(f"[dim]{'' if size is None else show.size(size):>10}[/]  ", end="")
        show.say(shown(path), whole=True)
    if files > len(first):
        show.note(f"{'':>10}  and {show.number(files - len(first))} more (--out FILE writes all)")


def _print_warnings(found: "Preview") -> None:
    from orchestrator.unknowns import WORD, passed_over_text
    from workflows.names import printable

    stands, inventory, undecided = found.standing, found.inventory, found.plan.passed_over.get(WORD, 0)
    if undecided:
        lacking = {name: counts.undecided for name, counts in found.report.unknown.items() if counts.undecided}
        show.say(f"\n{passed_over_text(found.policy, undecided, lacking)}", style="yellow")
    if not found.plan.files:
        show.say("\nNo file is selected: a run would do nothing.", style="yellow")
    if inventory.problems:
        show.say(f"\n{show.counted(inventory.problems, 'problem')} while reading the namespace, for example:")
        for example in inventory.examples:
            show.say(f"  {printable(example)}", style="yellow")
    for doubt in found.doubts:
        show.say(f"\nLook: {doubt}{'' if doubt.endswith('?') else '.'}", style="red")
    if stands.unready:
        words = ", ".join(stands.unready)
        show.say(f"\nThis version reads {words}, but does not run it yet: a run would be refused.", style="red")
    if not stands.enabled:
        show.say("\nThe policy is disabled (`enabled: false`): a run would be refused.", style="red")
    if stands.refused_by is not None:
        show.say(f"\nA run would be refused: {stands.refused_by}.", style="red")


def _name(one: "OwnerCount") -> str:
    from workflows.names import shown

    return "unknown owner" if one.owner is None else shown(one.owner)


def _day(micros: int | None) -> str:
    try:
        return (
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros or 0)).astimezone().strftime("%Y-%m-%d")
        )
    except (OverflowError, ValueError):
        return "?" * 10
