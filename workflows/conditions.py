"""Conditions: what a policy may ask about a file, read from and written back to their YAML form."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, TypeVar

from workflows import units
from workflows.globs import glob_parts, glob_regex
from workflows.units import Mistake, Mistakes, Operator, shown

__all__ = [
    "AGES",
    "ATTRIBUTES",
    "SIZES",
    "AllOf",
    "AnyOf",
    "Compare",
    "Condition",
    "Extent",
    "Glob",
    "Member",
    "Named",
    "Not",
    "condition_form",
    "condition_text",
    "glob_regex",
    "measure",
    "names_in",
    "parse_condition",
]

SIZES: Final = ("size", "disk_usage")
AGES: Final = ("accessed", "modified", "changed")
MEMBERS: Final = ("type", "status", "owner", "group")
GLOBS: Final = ("name", "path")
STATUSES: Final = ("resident", "premigrated", "migrated")
METADATA: Final = "metadata."
ATTRIBUTES: Final = (*SIZES, *AGES, *MEMBERS, *GLOBS)
DEEPEST: Final = 40
LONGEST_LIST: Final = 10_000


@dataclass(frozen=True)
class Compare:
    """A size in bytes, or an age in microseconds, against a value; for an age `>` reads "longer ago than"."""

    attribute: Literal["size", "disk_usage", "accessed", "modified", "changed"]
    operator: Operator
    value: int


@dataclass(frozen=True)
class Member:
    """An attribute that equals any of the values; `attribute` is type, status, owner, group or metadata.KEY."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Glob:
    """A name or a whole path that any of the patterns matches."""

    attribute: Literal["name", "path"]
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class AllOf:
    """Every one of the conditions."""

    of: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of the conditions."""

    of: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    """The contrary of a condition; the contrary of unknown is unknown."""

    of: "Condition"


@dataclass(frozen=True)
class Named:
    """A class of the policy, by its name."""

    name: str


Condition = Compare | Member | Glob | AllOf | AnyOf | Not | Named


def parse_condition(form: object) -> Condition:
    """Read the YAML form of a condition; raise Mistakes, each with its place below the form."""
    found: list[Mistake] = []
    condition = _parse(form, (), found)
    if found or condition is None:
        raise Mistakes(found)
    return condition


def condition_form(condition: Condition) -> Any:
    """Write a condition in its YAML form; reading it again gives an equal condition."""
    match condition:
        case Named(name):
            return name
        case Compare():
            return {condition.attribute: f"{condition.operator} {_value_text(condition)}"}
        case Member(attribute, values):
            return {attribute: list(values)}
        case Glob():
            return {condition.attribute: list(condition.patterns)}
        case AllOf(of):
            return {"all": [condition_form(part) for part in of]}
        case AnyOf(of):
            return {"any": [condition_form(part) for part in of]}
        case Not(of):
            return {"not": condition_form(of)}


def condition_text(condition: Condition) -> str:
    """Say a condition in one line."""
    match condition:
        case Named(name):
            return name
        case Compare():
            return f"{condition.attribute} {condition.operator} {_value_text(condition)}"
        case Member(attribute, values) | Glob(attribute, values):
            verb = "matches" if isinstance(condition, Glob) else "is"
            listed = ", ".join(units.escaped(value) or "none" for value in values[:8])
            return f"{attribute} {verb} {listed}" + (f" or {len(values) - 8} more" if len(values) > 8 else "")
        case AllOf():
            return "all of"
        case AnyOf():
            return "any of"
        case Not():
            return "not"


def names_in(condition: Condition, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """List the classes that a condition names, each with its place in the condition's own written form."""
    match condition:
        case Named(name):
            yield name, where
        case AllOf(of) | AnyOf(of):
            key = "all" if isinstance(condition, AllOf) else "any"
            for index, part in enumerate(of):
                yield from names_in(part, (*where, key, index))
        case Not(of):
            yield from names_in(of, (*where, "not"))


class Extent(NamedTuple):
    """How many values a condition compares, and how deep it is nested."""

    values: int
    depth: int


def measure(condition: Condition, classes: Mapping[str, Extent]) -> Extent:
    """Measure a condition with its classes, whose extents are known, written out."""
    match condition:
        case Named(name):
            inner = classes.get(name, Extent(1, 1))
            return Extent(inner.values, inner.depth + 1)
        case AllOf(of) | AnyOf(of):
            parts = [measure(part, classes) for part in of]
            return Extent(1 + sum(part.values for part in parts), 1 + max(part.depth for part in parts))
        case Not(of):
            inner = measure(of, classes)
            return Extent(inner.values + 1, inner.depth + 1)
        case Member(_, values) | Glob(_, values):
            return Extent(len(values), 1)
        case _:
            return Extent(1, 1)


Place = tuple[str | int, ...]
_Known = TypeVar("_Known", bound=str)
_WORDS: Final = {
    "atime": "accessed", "accesstime": "accessed", "last_accessed": "accessed", "access_time": "accessed",
    "mtime": "modified", "last_modified": "modified", "modification_time": "modified", "age": "modified",
    "ctime": "changed", "changetime": "changed", "filesize": "size", "file_size": "size", "bytes": "size",
    "disk": "disk_usage", "blocks": "disk_usage", "ext": "type", "extension": "type", "extensions": "type",
    "suffix": "type", "types": "type", "user": "owner", "uid": "owner", "gid": "group", "filename": "name",
    "glob": "path", "paths": "path", "directory": "path", "folder": "path", "state": "status",
    "and": "all", "all_of": "all", "or": "any", "any_of": "any", "none": "not",
}  # fmt: skip
_KEYS: Final = (*ATTRIBUTES, f"{METADATA}KEY", "all", "any", "not")


def _parse(form: object, where: Place, found: list[Mistake]) -> Condition | None:
    if isinstance(form, Compare | Member | Glob | AllOf | AnyOf | Not | Named):
        return form
    if len(found) > units.MOST_MISTAKES:
        return None
    if len(where) > 2 * DEEPEST:
        found.append(Mistake(where, "conditions are nested too deeply: give a part a name under `classes`"))
        return None
    if isinstance(form, str) and form:
        return Named(form)
    if not isinstance(form, dict):
        listed = ": put them under `all:` or `any:`" if isinstance(form, list | tuple) else ""
        found.append(Mistake(where, f"expects a class name or a condition such as {{size: \"> 1GiB\"}}, "
                                    f"found {shown(form)}{listed}"))  # fmt: skip
        return None
    if not form:
        found.append(Mistake(where, 'the condition is empty: write one such as {size: "> 1GiB"}'))
        return None
    parts = [_entry(key, value, (*where, key), found) for key, value in form.items()]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) < len(parts):
        return None
    return whole[0] if len(whole) == 1 else AllOf(whole)


def _entry(key: str, value: object, where: Place, found: list[Mistake]) -> Condition | None:
    if len(found) > units.MOST_MISTAKES:
        return None
    if key in ("all", "any"):
        return _several(key, value, where, found)
    if key == "not":
        inner = _parse(value, where, found)
        return None if inner is None else Not(inner)
    if any(ord(letter) < 32 for letter in key):
        found.append(Mistake(where, f"unknown key {shown(key)}: it holds a control character", at_key=True))
        return None
    try:
        if key in SIZES:
            return _compare(_known(key, SIZES), value, "> 1GiB", units.parse_size)
        if key in AGES:
            return _compare(_known(key, AGES), value, "> 90d", _age)
        if key in GLOBS:
            return Glob(_known(key, GLOBS), _globs(key, value))
        if key in MEMBERS or (key.startswith(METADATA) and len(key) > len(METADATA)):
            return Member(key, _values(key, value))
    except Mistakes as mistakes:
        found += [Mistake((*where, *mistake.where), mistake.text) for mistake in mistakes.found]
        return None
    except ValueError as error:
        found.append(Mistake(where, str(error)))
        return None
    found.append(Mistake(where, f"unknown condition {shown(key)}: {units.advice(key, _KEYS, _WORDS)}", at_key=True))
    return None


def _several(key: str, value: object, where: Place, found: list[Mistake]) -> Condition | None:
    if not isinstance(value, list | tuple):
        found.append(Mistake(where, f"`{key}` expects a list such as [a, b], found {shown(value)}"))
        return None
    if not value:
        found.append(Mistake(where, f"`{key}` is empty: write at least one condition"))
        return None
    parts = [_parse(part, (*where, index), found) for index, part in enumerate(value)]
    whole = tuple(part for part in parts if part is not None)
    if len(whole) < len(parts):
        return None
    return AllOf(whole) if key == "all" else AnyOf(whole)


def _known(key: str, known: tuple[_Known, ...]) -> _Known:
    return next(word for word in known if word == key)


def _compare(
    attribute: Literal["size", "disk_usage", "accessed", "modified", "changed"],
    value: object,
    example: str,
    parse: Callable[[str], int],
) -> Compare:
    operator, rest = units.split_comparison(value, example)
    if operator == "=" and attribute in AGES:
        raise ValueError('an age is never exactly a value: write it with < or >, such as "> 90d"')
    return Compare(attribute, operator, parse(rest))


def _age(text: str) -> int:
    return units.microseconds(units.parse_duration(text.removesuffix(" ago")))


def _globs(key: str, value: object) -> tuple[str, ...]:
    patterns = _texts(value, "*.mov" if key == "name" else "/mmfs1/projects/**")
    found: list[Mistake] = []
    for index, pattern in enumerate(patterns):
        place: Place = (index,) if isinstance(value, list | tuple) else ()
        try:
            glob_parts(pattern)
        except ValueError as error:
            found.append(Mistake(place, str(error)))
        if key == "name" and "/" in pattern:
            found.append(Mistake(place, f"a name holds no `/`: write {{path: {shown(pattern)}}}".replace("`{", "{")))
        if key == "path" and not pattern.startswith(("/", "*", "?", "[")):
            found.append(Mistake(place, f"a path starts with `/`: write /{units.escaped(pattern)} "
                                        f"or **/{units.escaped(pattern)}"))  # fmt: skip
    if found:
        raise Mistakes(found)
    return patterns


def _values(key: str, value: object) -> tuple[str, ...]:
    example = {"type": "mov", "status": "resident"}.get(key, "alice")
    values = _texts(value, example, empty=key == "type")
    check = {"type": _type_mistake, "status": _status_mistake}.get(key)
    found: list[Mistake] = []
    for index, text in enumerate(values):
        wrong = check(text) if check else None
        if wrong:
            found.append(Mistake((index,) if isinstance(value, list | tuple) else (), wrong))
    if found:
        raise Mistakes(found)
    return tuple(_lower(text) for text in values) if key == "type" else values


def _type_mistake(text: str) -> str | None:
    if text.startswith((".", "*.")) and len(text) > 1:
        return f"a type is an extension without its dot: write {units.escaped(text.lstrip('*.'))}"
    if any(sign in text for sign in "*?[/"):
        return f"a type is a plain extension, found {shown(text)}: for a pattern use `name`"
    if "." in text:
        return f'a type is what follows the last dot: write {{name: "*.{units.escaped(text)}"}}'
    return None


def _status_mistake(text: str) -> str | None:
    return None if text in STATUSES else f"unknown status {shown(text)}: {units.advice(text, STATUSES)}"


def _texts(value: object, example: str, empty: bool = False) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"the list is empty: write at least one value, such as [{example}]")
        if len(value) > LONGEST_LIST:
            raise ValueError(f"the list has {len(value)} values: at most {LONGEST_LIST} are allowed")
        found = [
            Mistake((index,), wrong)
            for index, item in enumerate(value)
            if (wrong := _text_mistake(item, example, empty))
        ]
        if found:
            raise Mistakes(found)
        return tuple(value)
    wrong = _text_mistake(value, example, empty)
    if wrong:
        raise ValueError(wrong)
    return (str(value),)


def _text_mistake(value: object, example: str, empty: bool) -> str | None:
    if isinstance(value, bool | int | float):
        return f"expects text, found {shown(value)}: put it in quotes"
    if not isinstance(value, str):
        return f"expects text such as {example}, found {shown(value)}"
    if not value and not empty:
        return f"the text is empty: write a value such as {example}"
    return None


def _lower(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _value_text(condition: Compare) -> str:
    if condition.attribute in SIZES:
        return units.size_text(condition.value)
    return units.duration_text(timedelta(microseconds=condition.value))
