"""Lint of the selection: rules that never decide, excludes that leave nothing, conditions that never hold."""

from collections.abc import Iterator
from typing import Any, Final

from orchestrator.linting.contradictions import contradictions
from orchestrator.linting.finding import Finding, Severity, listed
from orchestrator.linting.possible import Possible, Truth
from workflows.conditions import Condition
from workflows.selecting import Rule, Select

Wanted = tuple[Condition, Truth]
_PLAIN_LISTS: Final = ("lines", "nul")


def selection_findings(select: Select, form: Any) -> Iterator[Finding]:
    """Find what can never be in a selection, whose written form gives the places."""
    if select.source.discovery is not None:
        return
    possible = _possible(select)
    found = list(contradictions(select, form, possible))
    yield from found
    nothing = _nothing_is_taken(select, possible)
    if nothing is not None:
        yield nothing
        if nothing.where[1] != "rules":
            return
    broken = {finding.where[:3] for finding in found}
    for index, rule in enumerate(select.rules):
        if ("select", "rules", index) not in broken and (why := _never_decides(select, index, possible)):
            yield Finding("rule-never-decides", ("select", "rules", index), f"rule `{rule.name}` never decides: {why}")


def takes(select: Select, condition: Condition) -> bool:
    """Tell whether the selection may take a file for which the condition holds."""
    possible, such = _possible(select), (condition, Truth.TRUE)
    if not select.rules:
        return possible.file_with(such, *_free(select.exclude))
    return any(
        possible.file_with(such, *_decided(select, index)) for index, rule in enumerate(select.rules) if not rule.keep
    )


def _possible(select: Select) -> Possible:
    return Possible(select.classes, select.folders, nothing_but_paths=select.source.format in _PLAIN_LISTS)


def _nothing_is_taken(select: Select, possible: Possible) -> Finding | None:
    if select.rules:
        some = any(
            not rule.keep and possible.file_with(*_decided(select, index)) for index, rule in enumerate(select.rules)
        )
    else:
        some = possible.file_with(*_free(select.exclude))
    if some:
        return None
    for index, condition in enumerate(select.exclude):
        if not possible.file_with((condition, Truth.FALSE)):
            doubt = ", or leaves it undecided" if possible.file_with((condition, Truth.NOT_TRUE)) else ""
            text = f"this excludes every file{doubt}, so nothing is ever taken: narrow it, or leave it out"
            return Finding("excludes-everything", ("select", "exclude", index), text, Severity.ERROR)
    if select.exclude and not possible.file_with(*_free(select.exclude)):
        text = "these exclude every file between them, so nothing is ever taken: narrow one of them"
        return Finding("excludes-everything", ("select", "exclude"), text, Severity.ERROR, at_key=True)
    if select.source.format in _PLAIN_LISTS:
        text = (
            f"no rule can take a file: a list of plain paths (format: {select.source.format}) gives path, name and "
            "type only, all else is unknown: write rules on those, or give a list with columns (csv, jsonl, parquet)"
        )
    else:
        text = "no rule can take a file, so nothing ever moves: see each rule"
    return Finding("nothing-taken", ("select", "rules"), text, Severity.ERROR, at_key=True)


def _free(exclude: tuple[Condition, ...]) -> list[Wanted]:
    return [(condition, Truth.FALSE) for condition in exclude]


def _decided(select: Select, index: int) -> list[Wanted]:
    """What must be so of a file that the rule decides, exactly as the matcher decides."""
    rule = select.rules[index]
    return [(rule.match, Truth.TRUE), *_unexcluded(select, rule), *_passed(select, index)]


def _unexcluded(select: Select, rule: Rule) -> list[Wanted]:
    """A file that a rule takes is surely not excluded; one that it keeps may be either."""
    return [(condition, Truth.NOT_TRUE if rule.keep else Truth.FALSE) for condition in select.exclude]


def _passed(select: Select, index: int) -> list[Wanted]:
    """No rule above matches, and none of the contrary kind may match for all that is known."""
    keep = select.rules[index].keep
    return [(rule.match, _missed(rule, keep)) for rule in select.rules[:index]]


def _missed(rule: Rule, keep: bool) -> Truth:
    return Truth.NOT_TRUE if rule.keep == keep else Truth.FALSE


def _never_decides(select: Select, index: int, possible: Possible) -> str | None:
    """Say why no file is ever decided by the rule; None when one may be."""
    if possible.file_with(*_decided(select, index)):
        return None
    rule = select.rules[index]
    matches = (rule.match, Truth.TRUE)
    if not possible.file_with(matches):
        return "no file can match it"
    for place, condition in enumerate(select.exclude):
        if not possible.file_with(matches, (condition, Truth.NOT_TRUE if rule.keep else Truth.FALSE)):
            return f"every file that it matches is excluded by exclude[{place}]"
    for above in select.rules[:index]:
        if not possible.file_with(matches, (above.match, Truth.NOT_TRUE)):
            return f"rule `{above.name}` above matches every file that it matches: move it up, or leave it out"
        if not possible.file_with(matches, (above.match, _missed(above, rule.keep))):
            return f"every file that it matches also matches, or may match, rule `{above.name}` above: move it up"
    if not possible.file_with(matches, *_unexcluded(select, rule)):
        return "the excludes between them hold every file that it matches"
    if not possible.file_with(matches, *_passed(select, index)):
        names = listed((f"`{above.name}`" for above in select.rules[:index]), 5)
        return f"the rules above ({names}) between them match every file that it matches"
    return "the excludes and the rules above between them hold every file that it matches"
