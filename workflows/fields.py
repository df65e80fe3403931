"""The field types of a policy: each reads its YAML text, writes it back, and knows its JSON Schema."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, Strict, WithJsonSchema

from workflows import units
from workflows.conditions import Condition, condition_form, parse_condition
from workflows.units import shown


def _text(longest: int, *, multiline: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value.strip():
            raise ValueError("the text is empty: write something, or leave the key out")
        if len(value) > longest:
            raise ValueError(f"the text has {len(value)} characters: at most {longest} are allowed")
        if any((ord(letter) < 32 and not (multiline and letter in "\n\t")) or ord(letter) == 127 for letter in value):
            raise ValueError(f"the text {shown(value)} holds a control character: leave it out")
        return value

    return check


def _name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        return value
    if len(value) > 63:
        raise ValueError(f"the name has {len(value)} characters: at most 63 are allowed")
    near = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
    raise ValueError(
        f"{shown(value)} is not a name: use a-z, 0-9 and `-`, beginning with a letter or digit"
        + (f": write {near}" if near else "")
    )


def _label(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", value):
        return value
    raise ValueError(f"{shown(value)} is not a name: use letters, digits, `_` and `-`, at most 63 of them")


def _folder(value: str) -> str:
    if "\0" in value:
        raise ValueError(f"the path {shown(value)} holds a NUL character: no file name does")
    if not value.startswith("/"):
        raise ValueError(f"the path {shown(value)} is relative: write it from the root, such as /mmfs1/projects")
    if "*" in value:
        raise ValueError(f"the path {shown(value)} is a folder, not a glob: put globs into `exclude` or `classes`")
    path = value.rstrip("/") or "/"
    if any(part in ("", ".", "..") for part in path.split("/")[1:]) and path != "/":
        raise ValueError(f"the path {shown(value)} holds an empty, `.` or `..` part: write it out in full")
    if len(path.encode("utf-8", "surrogateescape")) > 4096:
        raise ValueError("the path is longer than 4096 bytes")
    return path


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("the duration must be longer than 0s")
    return value


def _some(size: int) -> int:
    if size <= 0:
        raise ValueError("the size must be larger than 0")
    return size


def _or_none(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value in (None, "none") else parse(value)


def _checked_duration(value: object) -> timedelta:
    return _positive(units.parse_duration(value))


def _none_or_duration_text(value: timedelta | None) -> str:
    return "none" if value is None else units.duration_text(value)


_DURATION_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+[smhdw]$", "examples": ["30s", "5m", "2h", "7d", "4w"]}
_SIZE_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+([KMGTP]iB|[kMGTP]?B)$|^0$", "examples": ["128KiB", "50TB"]}
_PERCENT_SCHEMA = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$", "examples": ["20%"]}
_AGO_SCHEMA = {"type": "string", "pattern": r"^[0-9_]+[smhdw] ago$", "examples": ["120d ago"]}
CONDITION_MARK = {"$comment": "condition"}
"""Marks a condition in the JSON Schema, which `orchestrator.policy_schema` writes out."""

Line = Annotated[str, AfterValidator(_text(1024))]
Prose = Annotated[str, AfterValidator(_text(10_000, multiline=True))]
Name = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"}),
]
Label = Annotated[str, AfterValidator(_label)]
Folder = Annotated[str, AfterValidator(_folder)]
Duration = Annotated[
    timedelta,
    PlainValidator(_checked_duration),
    PlainSerializer(units.duration_text, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
Wait = Annotated[
    timedelta,
    PlainValidator(units.parse_duration),
    PlainSerializer(units.duration_text, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
DurationOrNone = Annotated[
    timedelta | None,
    PlainValidator(_or_none(_checked_duration)),
    PlainSerializer(_none_or_duration_text, return_type=str),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "none"}]}),
]
Age = Annotated[
    timedelta,
    PlainValidator(units.parse_ago),
    PlainSerializer(units.ago_text, return_type=str),
    WithJsonSchema(_AGO_SCHEMA),
]
Size = Annotated[
    int,
    PlainValidator(units.parse_size),
    PlainSerializer(units.size_text, return_type=str),
    WithJsonSchema({"anyOf": [_SIZE_SCHEMA, {"const": 0}]}),
]
SomeBytes = Annotated[
    int,
    PlainValidator(lambda value: _some(units.parse_size(value))),
    PlainSerializer(units.size_text, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
Percent = Annotated[
    float,
    PlainValidator(units.parse_percent),
    PlainSerializer(units.percent_text, return_type=str),
    WithJsonSchema(_PERCENT_SCHEMA),
]
Count = Annotated[int, Strict(), Field(ge=1, le=2**53 - 1)]
Flag = Annotated[bool, Strict()]
ConditionField = Annotated[
    Condition,
    PlainValidator(parse_condition),
    PlainSerializer(condition_form),
    WithJsonSchema(CONDITION_MARK),
]
