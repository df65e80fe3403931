"""YAML text with comments: what stands in it is read back as it was, whatever it holds; no comment can end early.

PyYAML writes no comments, so the few forms that a policy needs are written here: block mappings and lists, one-line
lists and mappings, plain and double-quoted text.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from workflows.names import printable

WIDTH = 118


class Unwritable(ValueError):
    """The policy language has no form for a value; the text says which and why."""


@dataclass(frozen=True)
class Note:
    """A comment on lines of its own."""

    text: str


@dataclass
class Fields:
    """A mapping in lines of `key: value`, with comments between them."""

    lines: list[tuple[str, Any] | Note] = field(default_factory=list)

    def add(self, key: str, value: Any) -> "Fields":
        """Add a key; None is left out."""
        if value is not None:
            self.lines.append((key, value))
        return self

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """The keys and their values."""
        return [line for line in self.lines if not isinstance(line, Note)]

    def note(self, *notes: Note) -> "Fields":
        """Add comments."""
        self.lines.extend(notes)
        return self

    def blank(self) -> "Fields":
        """Add an empty line."""
        self.lines.append(Note(""))
        return self


def yaml_text(fields: Fields) -> str:
    """Write a document. Raises Unwritable."""
    return "\n".join(line.rstrip() for line in _fields(fields, "")) + "\n"


def scalar(value: Any) -> str:
    """Write one value on one line. Raises Unwritable for what the language cannot hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise Unwritable(f"the number {str(value)[:24]} is too large")
        return str(value)
    if isinstance(value, float):
        text = f"{value:.15f}".rstrip("0")
        text += "0" if text.endswith(".") else ""
        if not _DECIMAL.fullmatch(text) or float(text) != value:
            raise Unwritable(f"the number {value} has no exact form")
        return text
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise Unwritable("half a character (a surrogate) cannot be written")
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else quoted(value)
    raise Unwritable("an empty value (null) cannot be written" if value is None else f"no form for {value!r:.40}")


def one_line(value: Any) -> str:
    """Write a value with all that it holds on one line. Raises Unwritable."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(one_line, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {one_line(inner)}" for key, inner in value.items()) + "}"
    return scalar(value)


def quoted(text: str) -> str:
    """Write a text in double quotes, with everything invisible escaped."""
    return '"' + "".join(_letter(char) for char in text) + '"'


_LARGEST = 2**53 - 1
_LONGEST_KEY = 1000
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./ -]{0,200}[A-Za-z0-9_./-])?|-[a-z_]+|[0-9]+(?:\.[0-9]+)?%")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _key(key: str) -> str:
    text = scalar(key)
    if len(text) > _LONGEST_KEY:
        raise Unwritable(f"the key {text[:24]}... is too long")
    return text


def _letter(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _fields(fields: Fields, indent: str) -> Iterator[str]:
    for line in fields.lines:
        if isinstance(line, Note):
            yield from _comment(line, indent)
            continue
        key, value = line
        yield from _entry(f"{indent}{_key(key)}:", value, indent + "  ")


def _entry(start: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Fields):
        yield start
        yield from _fields(value, indent)
        return
    if not _holds_blocks(value):
        line = f"{start} {one_line(value)}"
        if len(line) <= WIDTH or not isinstance(value, list):
            yield line
            return
    yield start
    yield from _items(value, indent)


def _items(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Note):
            yield from _comment(item, indent)
        elif isinstance(item, Fields):
            inner = list(_fields(item, indent + "  "))
            first = next(index for index, line in enumerate(inner) if not line.lstrip().startswith("#"))
            yield from (indent + line.lstrip() for line in inner[:first])
            yield f"{indent}- {inner[first].lstrip()}"
            yield from inner[first + 1 :]
        else:
            yield f"{indent}- {one_line(item)}"


def _holds_blocks(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Fields | Note) for item in value)


def _comment(note: Note, indent: str) -> Iterator[str]:
    if not note.text:
        yield ""
        return
    lines = textwrap.wrap(printable(note.text), WIDTH - len(indent) - 2, break_on_hyphens=False)
    yield from (f"{indent}# {line}" for line in lines or [""])
