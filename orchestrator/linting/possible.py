"""Files that are possible: whether any file could give conditions the truths that are asked for.

The matcher is three-valued: a condition is true, false or unknown, and unknown only where an attribute is not known.
So each truth of a condition is a plain formula over "the attribute is known and lies in this set". A search over those
sets either finds room for a file or proves that there is none; where it would take too long it says that there may be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.linting.paths import DOT_LAST, WITH_TYPE, PathTest, name_globs, of_types, path_globs, some_path
from workflows.conditions import (
    ATTRIBUTES,
    SIZES,
    STATUSES,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Glob,
    Member,
    Named,
    Not,
)

MOST_STEPS: Final = 20_000
STEPS_OF_ALL: Final = 200_000
STEPS_OF_A_PATH: Final = 1_000
DEEPEST: Final = 150

Range = tuple[int | None, int | None]


class Truth(StrEnum):
    """What is asked of a condition; `NOT_TRUE` is false or unknown."""

    TRUE = "true"
    FALSE = "false"
    NOT_TRUE = "not true"
    NOT_FALSE = "not false"


@dataclass(frozen=True)
class Numbers:
    """Whole numbers, as ranges that do not overlap; None is without end. `unknown`: it may also be unknown."""

    ranges: tuple[Range, ...]
    unknown: bool

    def also(self, other: "Numbers") -> "Numbers":
        """Keep what is in both."""
        met = (_met(one, two) for one in self.ranges for two in other.ranges)
        return Numbers(tuple(each for each in met if each is not None), self.unknown and other.unknown)

    @property
    def empty(self) -> bool:
        """Nothing is left, not even the unknown."""
        return not self.ranges and not self.unknown


@dataclass(frozen=True)
class Words:
    """Texts: those that are named, or (`others`) all but those. `unknown`: it may also be unknown."""

    named: frozenset[str]
    others: bool
    unknown: bool

    def also(self, other: "Words") -> "Words":
        """Keep what is in both."""
        unknown = self.unknown and other.unknown
        if self.others and other.others:
            return Words(self.named | other.named, True, unknown)
        if self.others or other.others:
            wide, narrow = (self, other) if self.others else (other, self)
            return Words(narrow.named - wide.named, False, unknown)
        return Words(self.named & other.named, False, unknown)

    @property
    def empty(self) -> bool:
        """Nothing is left, not even the unknown."""
        return not self.named and not self.others and not self.unknown


@dataclass(frozen=True)
class Lies:
    """The attribute lies in the set."""

    attribute: str
    among: Numbers | Words


@dataclass(frozen=True)
class Fits:
    """The path passes the test."""

    test: PathTest


@dataclass(frozen=True)
class Both:
    """Every part holds."""

    of: tuple["Formula", ...]


@dataclass(frozen=True)
class Either:
    """At least one part holds."""

    of: tuple["Formula", ...]


Formula = Lies | Fits | Both | Either


class Possible:
    """Answers whether a file is possible, among files inside some folders; `nothing_but_paths`: all else is unknown."""

    def __init__(
        self, classes: Mapping[str, Condition], folders: tuple[str, ...] = (), *, nothing_but_paths: bool = False
    ) -> None:
        self._classes = classes
        self._folders = folders or ("/",)
        self._only_paths = nothing_but_paths
        self._steps_left = STEPS_OF_ALL
        self._formulas: dict[tuple[Condition, Truth], Formula] = {}
        self._answers: dict[frozenset[tuple[Condition, Truth]], bool] = {}

    def file_with(self, *truths: tuple[Condition, Truth]) -> bool:
        """Tell whether there may be a file of which all this is so; False is certain."""
        key = frozenset(truths)
        if key not in self._answers:
            search = _Search(self._only_paths, self._folders, min(MOST_STEPS, self._steps_left))
            self._answers[key] = search.room([self._formula(*truth) for truth in truths], {}, ())
            self._steps_left -= min(self._steps_left, search.steps)
        return self._answers[key]

    def _formula(self, condition: Condition, truth: Truth) -> Formula:
        key = (condition, truth)
        if key not in self._formulas:
            self._formulas[key] = self._built(condition, truth)
        return self._formulas[key]

    def _built(self, condition: Condition, truth: Truth) -> Formula:
        match condition:
            case Named(name):
                return self._formula(self._classes[name], truth)
            case Not(of):
                return self._formula(of, _CONTRARY[truth])
            case AllOf(of) | AnyOf(of):
                parts = tuple(self._formula(part, truth) for part in of)
                together = isinstance(condition, AllOf) == (truth in (Truth.TRUE, Truth.NOT_FALSE))
                return Both(parts) if together else Either(parts)
            case Glob(attribute, patterns):
                globs = path_globs(patterns) if attribute == "path" else name_globs(patterns)
                return Fits((globs, truth in (Truth.TRUE, Truth.NOT_FALSE)))
            case Member("type", values):
                return _type_formula(values, wanted=truth in (Truth.TRUE, Truth.NOT_FALSE))
            case Member(attribute, values):
                wanted, unknown = _asked(truth)
                return Lies(attribute, Words(frozenset(values), not wanted, unknown))
            case Compare():
                wanted, unknown = _asked(truth)
                return Lies(condition.attribute, Numbers(_ranges(condition, wanted), unknown))


_CONTRARY: Final = {
    Truth.TRUE: Truth.FALSE,
    Truth.FALSE: Truth.TRUE,
    Truth.NOT_TRUE: Truth.NOT_FALSE,
    Truth.NOT_FALSE: Truth.NOT_TRUE,
}


def _asked(truth: Truth) -> tuple[bool, bool]:
    """Whether the value must lie in the condition's own set, and whether it may be unknown as well."""
    return truth in (Truth.TRUE, Truth.NOT_FALSE), truth in (Truth.NOT_TRUE, Truth.NOT_FALSE)


def _type_formula(values: Iterable[str], *, wanted: bool) -> Formula:
    values = frozenset(values)
    parts: list[Formula] = [Fits((of_types(values), wanted))]
    if "" in values:
        parts += [Fits((WITH_TYPE, not wanted)), Fits((DOT_LAST, wanted))]
    return Either(tuple(parts)) if wanted else Both(tuple(parts))


def _ranges(condition: Compare, wanted: bool) -> tuple[Range, ...]:
    value = condition.value
    below, at, above = (None, value - 1), (value, value), (value + 1, None)
    inside = {"<": (below,), "<=": (below, at), ">": (above,), ">=": (at, above), "=": (at,)}[condition.operator]
    return inside if wanted else tuple(one for one in (below, at, above) if one not in inside)


def _met(one: Range, two: Range) -> Range | None:
    lows = [low for low in (one[0], two[0]) if low is not None]
    highs = [high for high in (one[1], two[1]) if high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    return None if low is not None and high is not None and low > high else (low, high)


def _everything(attribute: str, only_paths: bool) -> Numbers | Words:
    """What an attribute may be at all: a size is never negative, a status is one of three."""
    if attribute in SIZES:
        return Numbers(() if only_paths else ((0, None),), True)
    if attribute == "status":
        return Words(frozenset() if only_paths else frozenset(STATUSES), False, True)
    if attribute in ATTRIBUTES and attribute not in ("owner", "group"):
        return Numbers(() if only_paths else ((None, None),), True)
    return Words(frozenset(), not only_paths, True)


class _Search:
    """One search for room, within a number of steps."""

    def __init__(self, only_paths: bool, folders: tuple[str, ...], most: int) -> None:
        self._only_paths = only_paths
        self._folders = folders
        self._most = most
        self.steps = 0

    def room(
        self, wanted: list[Formula], sets: dict[str, Numbers | Words], tests: tuple[PathTest, ...], depth: int = 0
    ) -> bool:
        sets, choices, waiting = dict(sets), [], list(wanted)
        while waiting:
            self.steps += 1
            if self.steps > self._most or depth > DEEPEST:
                return True
            match waiting.pop():
                case Both(of):
                    waiting += of
                case Either((only,)):
                    waiting.append(only)
                case Either(of):
                    choices.append(of)
                case Fits(test):
                    tests = (*tests, test)
                case Lies(attribute, among):
                    left = _kept(sets.get(attribute) or _everything(attribute, self._only_paths), among)
                    if left.empty:
                        return False
                    sets[attribute] = left
        if not choices:
            self.steps += STEPS_OF_A_PATH
            return some_path(tests, self._folders)
        choices.sort(key=len)
        rest: list[Formula] = [Either(of) for of in choices[1:]]
        return any(self.room([one, *rest], sets, tests, depth + 1) for one in choices[0])


def _kept(one: Numbers | Words, two: Numbers | Words) -> Numbers | Words:
    if isinstance(one, Numbers) and isinstance(two, Numbers):
        return one.also(two)
    if isinstance(one, Words) and isinstance(two, Words):
        return one.also(two)
    raise TypeError(f"one attribute, two kinds of values: {one}, {two}")
