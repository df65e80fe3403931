"""Contradictions: parts of conditions that no file can ever make true, found at the smallest such part."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from orchestrator.linting.finding import LONGEST, Finding, Place, listed
from orchestrator.linting.paths import name_globs, path_globs, some_path
from orchestrator.linting.possible import Possible, Truth
from workflows.conditions import Condition, Named, condition_form, condition_text, parse_condition
from workflows.selecting import Select
from workflows.units import escaped, shown

MOST_PAIRS = 100


def contradictions(select: Select, form: Any, possible: Possible) -> Iterator[Finding]:
    """Find the parts of a selection's conditions that can never hold, given their written form."""
    search = _Contradictions(select, possible)
    for name, condition in form.get("classes", {}).items():
        yield from search.within(condition, ("select", "classes", name))
    for index, condition in enumerate(form.get("exclude", ())):
        yield from search.within(condition, ("select", "exclude", index))
    for index, rule in enumerate(form.get("rules", ())):
        yield from search.within(rule["match"], ("select", "rules", index, "match"))


class _Contradictions:
    def __init__(self, select: Select, possible: Possible) -> None:
        self._folders = select.folders
        self._possible = possible

    def within(self, form: Any, where: Place) -> Iterator[Finding]:
        """Find the smallest parts of a written condition that never hold."""
        if isinstance(form, str):
            return  # A class is looked at where it is defined.
        parts = [({key: value}, (*where, key)) for key, value in form.items()]
        if len(parts) > 1:
            yield from self._together(form, parts, where)
            return
        ((key, value),) = form.items()
        if key in ("all", "any"):
            items = [(item, (*where, key, index)) for index, item in enumerate(value)]
            if key == "all":
                yield from self._together(form, items, where)
            else:
                for item, place in items:
                    yield from self.within(item, place)
        elif key == "not":
            inside = list(self.within(value, (*where, key)))
            yield from inside
            if not inside and self._never(form):
                yield self._finding(where, f"`not: {condition_said(parse_condition(value))}` can never hold")
        elif key in ("path", "name"):
            yield from self._globs(key, value, (*where, key))
        elif self._never(form):
            yield self._finding((*where, key), f"`{condition_said(parse_condition(form))}` can never hold")

    def _together(self, form: Any, parts: list[tuple[Any, Place]], where: Place) -> Iterator[Finding]:
        inside = [finding for part, place in parts for finding in self.within(part, place)]
        yield from inside
        conditions = [parse_condition(part) for part, _ in parts]
        if inside or not self._never(form) or any(self._impossible(condition) for condition in conditions):
            return
        for one, two in list(combinations(range(len(parts)), 2))[:MOST_PAIRS]:
            if self._impossible(conditions[one], conditions[two]):
                one_said, two_said = condition_said(conditions[one]), condition_said(conditions[two])
                text = f"`{one_said}` and `{two_said}` can never hold together"
                yield self._finding(parts[two][1], f"{text}: mend one of them, or write `any`")
                return
        yield self._finding(where, "these can never all hold together: mend one of them, or write `any`")

    def _globs(self, key: str, value: Any, where: Place) -> Iterator[Finding]:
        patterns = [(value, where)] if isinstance(value, str) else [(one, (*where, at)) for at, one in enumerate(value)]
        for pattern, place in patterns:
            if self._never({key: pattern}):
                yield self._finding(place, self._of_glob(key, pattern))

    def _of_glob(self, key: str, pattern: str) -> str:
        globs = path_globs([pattern]) if key == "path" else name_globs([pattern])
        said = escaped(pattern, LONGEST)
        if some_path([(globs, True)]):
            return f"{shown(pattern)} is the path of no file inside {listed(self._folders)}, where this policy stays"
        if key == "path" and pattern.endswith("/"):
            return f"the path of a file never ends with `/`: write {said}** for everything below it"
        if key == "path" and not pattern.startswith("/"):
            return f"a path begins with `/`, which {shown(pattern)} does not match: write **/{said}"
        return f"{shown(pattern)} is the {key} of no file"

    def _never(self, form: Any) -> bool:
        return self._impossible(parse_condition(form))

    def _impossible(self, *conditions: Condition) -> bool:
        return not self._possible.file_with(*((condition, Truth.TRUE) for condition in conditions))

    def _finding(self, where: Place, text: str) -> Finding:
        protects = "; it excludes nothing" if where[1] == "exclude" and "not" not in where else ""
        return Finding("never-holds", where, text + protects)


def condition_said(condition: Condition) -> str:
    """Write a condition as a message quotes it: a class by its name, a composed one as it is written."""
    if isinstance(condition, Named):
        return condition.name
    text = condition_text(condition)
    if text in ("all of", "any of", "not"):
        text = str(condition_form(condition)).replace("'", "")
    return escaped(text, LONGEST)
