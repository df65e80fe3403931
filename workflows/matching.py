"""What a policy says about one file: three-valued truth, the decision, and the explanation of both."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from workflows import units
from workflows.conditions import (
    AGES,
    METADATA,
    SIZES,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Glob,
    Member,
    Named,
    Not,
    condition_text,
)
from workflows.globs import glob_matches
from workflows.names import extension, name_of
from workflows.policy import DEFAULT_RULE, Rule, Select, TestFile


class FileFacts(NamedTuple):
    """What is known of a file: path text, sizes in bytes, times in microseconds since the epoch; None is unknown."""

    path: str
    size: int | None = None
    disk_usage: int | None = None
    accessed: int | None = None
    modified: int | None = None
    changed: int | None = None
    status: str | None = None
    owner: str | None = None
    group: str | None = None
    metadata: Mapping[str, str] | None = None


class Verdict(StrEnum):
    """What becomes of a file."""

    SELECTED = "selected"
    KEPT = "kept"
    STAYS = "stays"
    EXCLUDED = "excluded"
    UNKNOWN = "unknown"


class Decision(NamedTuple):
    """A verdict, and the rule that gave it where a rule did."""

    verdict: Verdict
    rule: str | None = None


@dataclass(frozen=True)
class Reason:
    """A condition with its truth for one file, the file's own value, and the conditions that it is made of.

    `turns_us` is the moment from which a condition on an age says the contrary, if the file stays as it is.
    """

    condition: str
    truth: bool | None
    value: str | None = None
    of: tuple["Reason", ...] = ()
    turns_us: int | None = None


@dataclass(frozen=True)
class RuleReason:
    """A rule with its truth for one file; `decides` marks the one that gave the decision."""

    rule: str
    keep: bool
    truth: bool | None
    decides: bool
    reason: Reason


@dataclass(frozen=True)
class Explanation:
    """A decision with every exclude and every rule behind it, in the policy's order."""

    path: str
    decision: Decision
    exclude: tuple[Reason, ...]
    rules: tuple[RuleReason, ...]


def truth(condition: Condition, facts: FileFacts, as_of_us: int, classes: Mapping[str, Condition]) -> bool | None:
    """Tell whether the condition holds for the file; None when it hangs on an attribute that is not known."""
    return _Reading(facts, as_of_us, classes).truth(condition)


def decide(select: Select, facts: FileFacts, as_of_us: int) -> Decision:
    """Tell what becomes of the file: unknown only where the missing attributes could change the verdict."""
    reading = _Reading(facts, as_of_us, select.classes)
    return _decision(
        [reading.truth(condition) for condition in select.exclude],
        [(rule, reading.truth(rule.match)) for rule in select.rules],
        no_rules=not select.rules,
    )


def explain(select: Select, facts: FileFacts, as_of_us: int) -> Explanation:
    """Tell what becomes of the file, with the truth of every rule and condition and the file's own values."""
    reading = _Reading(facts, as_of_us, select.classes)
    exclude = tuple(reading.reason(condition) for condition in select.exclude)
    reasons = [(rule, reading.reason(rule.match)) for rule in select.rules]
    decision = _decision(
        [reason.truth for reason in exclude],
        [(rule, reason.truth) for rule, reason in reasons],
        no_rules=not select.rules,
    )
    rules = tuple(
        RuleReason(rule.name, rule.keep, reason.truth, rule.name == decision.rule, reason) for rule, reason in reasons
    )
    return Explanation(facts.path, decision, exclude, rules)


def turning_points(condition: Condition, facts: FileFacts) -> Iterator[int]:
    """List the moments, in microseconds since the epoch, from which a condition on an age has another truth."""
    if not isinstance(condition, Compare) or condition.attribute not in AGES:
        return
    since: int | None = getattr(facts, condition.attribute)
    if since is not None:
        reached = since + condition.value
        if condition.operator in (">=", "<", "="):
            yield reached
        if condition.operator in (">", "<=", "="):
            yield reached + 1


def imagined(file: TestFile, as_of_us: int) -> FileFacts:
    """Give the facts of a test's file, whose ages count back from the moment."""
    return FileFacts(
        path=file.path,
        size=file.size,
        disk_usage=file.disk_usage,
        accessed=_before(file.accessed, as_of_us),
        modified=_before(file.modified, as_of_us),
        changed=_before(file.changed, as_of_us),
        status=file.status,
        owner=file.owner,
        group=file.group,
        metadata=file.metadata,
    )


def _decision(exclude: list[bool | None], rules: list[tuple[Rule, bool | None]], *, no_rules: bool) -> Decision:
    if True in exclude:
        return Decision(Verdict.EXCLUDED)
    certain = Decision(Verdict.SELECTED, DEFAULT_RULE) if no_rules else Decision(Verdict.STAYS)
    possible: list[bool] = []  # whether each rule that may decide selects
    for rule, holds in rules:
        if holds is False:
            continue
        possible.append(not rule.keep)
        if holds:
            certain = Decision(Verdict.KEPT if rule.keep else Verdict.SELECTED, rule.name)
            break
    selects = certain.verdict is Verdict.SELECTED
    if not selects and not any(possible):
        return certain
    if None in exclude or not selects or not all(possible):
        return Decision(Verdict.UNKNOWN)
    return certain


def _before(age: timedelta | None, as_of_us: int) -> int | None:
    return None if age is None else as_of_us - units.microseconds(age)


class _Reading:
    """One file held against the conditions of one policy; each class is judged once."""

    def __init__(self, facts: FileFacts, as_of_us: int, classes: Mapping[str, Condition]) -> None:
        self._facts = facts
        self._as_of_us = as_of_us
        self._classes = classes
        self._known: dict[str, bool | None] = {}
        self._reasons: dict[str, Reason] = {}

    def truth(self, condition: Condition) -> bool | None:
        match condition:
            case Compare():
                return self._compare(condition)
            case Member(attribute, values):
                value = self._member(attribute)
                return None if value is None else value in values
            case Glob(attribute, patterns):
                text = self._facts.path if attribute == "path" else name_of(self._facts.path)
                return any(glob_matches(pattern, text) for pattern in patterns)
            case AllOf(of):
                return _all(self.truth(part) for part in of)
            case AnyOf(of):
                return _any(self.truth(part) for part in of)
            case Not(of):
                return _not(self.truth(of))
            case Named(name):
                if name not in self._known:
                    self._known[name] = self.truth(self._classes[name])
                return self._known[name]

    def reason(self, condition: Condition) -> Reason:
        text = condition_text(condition)
        match condition:
            case AllOf(of) | AnyOf(of):
                parts = tuple(self.reason(part) for part in of)
                join = _all if isinstance(condition, AllOf) else _any
                return Reason(text, join(part.truth for part in parts), of=parts)
            case Not(of):
                inner = self.reason(of)
                return Reason(text, _not(inner.truth), of=(inner,))
            case Named(name):
                if name not in self._reasons:
                    inner = self.reason(self._classes[name])
                    self._reasons[name] = Reason(text, inner.truth, of=(inner,))
                return self._reasons[name]
            case _:
                return Reason(text, self.truth(condition), self._value(condition), turns_us=self._turns(condition))

    def _turns(self, condition: Compare | Member | Glob) -> int | None:
        later = (moment for moment in turning_points(condition, self._facts) if moment > self._as_of_us)
        return min(later, default=None)

    def _compare(self, condition: Compare) -> bool | None:
        value: int | None = getattr(self._facts, condition.attribute)
        if value is None:
            return None
        if condition.attribute in AGES:
            value = self._as_of_us - value
        match condition.operator:
            case "<":
                return value < condition.value
            case "<=":
                return value <= condition.value
            case ">":
                return value > condition.value
            case ">=":
                return value >= condition.value
            case "=":
                return value == condition.value

    def _member(self, attribute: str) -> str | None:
        if attribute == "type":
            return extension(self._facts.path) or ""
        if attribute.startswith(METADATA):
            return (self._facts.metadata or {}).get(attribute.removeprefix(METADATA))
        value: str | None = getattr(self._facts, attribute)
        return value

    def _value(self, condition: Compare | Member | Glob) -> str | None:
        if isinstance(condition, Glob):
            return self._facts.path if condition.attribute == "path" else name_of(self._facts.path)
        if isinstance(condition, Member):
            return self._member(condition.attribute)
        value: int | None = getattr(self._facts, condition.attribute)
        if value is None:
            return None
        return _size_said(value) if condition.attribute in SIZES else _time_said(value, self._as_of_us)


def _all(parts: Iterable[bool | None]) -> bool | None:
    values = list(parts)
    return False if False in values else None if None in values else True


def _any(parts: Iterable[bool | None]) -> bool | None:
    values = list(parts)
    return True if True in values else None if None in values else False


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _size_said(size: int) -> str:
    exact = units.size_text(size)
    for unit, name in ((2**50, "PiB"), (2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            near = f"{size / unit:.1f}{name}".replace(".0", "")
            return near if near == exact else f"{near} ({size:,} bytes)"
    return exact


def _time_said(moment_us: int, as_of_us: int) -> str:
    try:
        date = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment_us)).isoformat(timespec="seconds")
    except OverflowError:
        date = f"{moment_us} microseconds since 1970"
    seconds = abs(as_of_us - moment_us) // units.MICROSECONDS
    largest = next(
        (size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")) if seconds >= size or size == 1
    )
    said = f"{seconds // largest[0]}{largest[1]}"
    return f"{said} ago ({date})" if moment_us <= as_of_us else f"{said} ahead ({date})"
