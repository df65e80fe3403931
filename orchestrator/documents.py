"""YAML documents as the policy language reads them: a small, safe part of YAML, with the place of every word.

Text, whole numbers, decimals, true and false, lists, mappings. No anchors, aliases, tags, merge keys or second
documents, no `yes`, `0o17`, `22:00` or date with a meaning of its own: what is not plainly a number is text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from workflows.units import escaped, shown

LARGEST_FILE: Final = 1024 * 1024
MOST_NODES: Final = 50_000
DEEPEST: Final = 32
MOST_PROBLEMS: Final = 25

Place = tuple[str | int, ...]
Spot = tuple[int, int]


@dataclass(frozen=True, order=True)
class Problem:
    """What is wrong in a file, where, and what to write instead; line and column count from 1, 0 is the whole file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """One line, as compilers write it."""
        return self.said()

    def said(self, kind: str = "") -> str:
        """One line, with a word for its kind before the message."""
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{escaped(self.file, 4096)}{place}: {kind}{escaped(self.message, 4096)}"


class PolicyError(ValueError):
    """The policy cannot be used: each problem says where it is and what to write instead."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True)
class Document:
    """What a document says, and where it says it."""

    name: str
    data: Any
    values: dict[Place, Spot] = field(default_factory=dict)
    keys: dict[Place, Spot] = field(default_factory=dict)
    lines: tuple[str, ...] = ()

    def line(self, where: Place) -> tuple[int, str]:
        """Give the number and the text of the line where a place begins, its key included."""
        number = self.keys.get(where, self.place(where))[0]
        return number, self.lines[number - 1].strip() if number <= len(self.lines) else ""

    def problem(self, where: Place, message: str, *, at_key: bool = False) -> Problem:
        """Make a problem at the nearest known place of the document."""
        spot = self.keys[where] if at_key and where in self.keys else self.place(where)
        return Problem(self.name, *spot, message)

    def place(self, where: Place) -> Spot:
        """Find the value, or the nearest thing around it."""
        while where and where not in self.values:
            where = where[:-1]
        return self.values.get(where, (1, 1))


def read_document(content: bytes, name: str) -> Document:
    """Read one YAML document; raise PolicyError with every problem that was found."""
    text = _decoded(content, name)
    reader = _Reader(text, name)
    try:
        document = reader.document()
    except yaml.MarkedYAMLError as error:
        raise PolicyError((reader.open_quote(error) or _syntax_problem(error, text, name),)) from error
    except yaml.YAMLError as error:
        raise PolicyError((Problem(name, 1, 1, f"this is not YAML: {error}"),)) from error
    if reader.problems:
        raise PolicyError(several(reader.problems))
    return replace(document, lines=tuple(_LINE_ENDS.split(text)))


def several(problems: list[Problem]) -> tuple[Problem, ...]:
    """Put problems in the order of the file, each once, and no more than a person can use."""
    ordered = sorted(set(problems))
    if len(ordered) <= MOST_PROBLEMS:
        return tuple(ordered)
    last = ordered[MOST_PROBLEMS]
    rest = f"and {len(ordered) - MOST_PROBLEMS} more problems from here on"
    return (*ordered[:MOST_PROBLEMS], Problem(last.file, last.line, last.column, rest))


_BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:_[0-9]{3})+)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")
_LARGEST_NUMBER = 2**53 - 1


def _decoded(content: bytes, name: str) -> str:
    if len(content) > LARGEST_FILE:
        raise PolicyError((Problem(name, 1, 1, f"the file is larger than {LARGEST_FILE} bytes: no policy is"),))
    if content.startswith(_BYTE_ORDERS):
        raise PolicyError((Problem(name, 1, 1, "the file is UTF-16 or UTF-32: save it as UTF-8"),))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        wrong = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise PolicyError((Problem(name, *_spot(before, len(before)), wrong),)) from error
    text = text.removeprefix("\ufeff")
    found = _UNPRINTABLE.search(text)
    if found:
        kind = "control" if ord(found[0]) < 160 else "invisible"
        wrong = f"the {kind} character U+{ord(found[0]):04X} cannot be in a policy: delete it"
        wrong += ", or save the file as UTF-8" if found[0] == "\0" else ""
        raise PolicyError((Problem(name, *_spot(text, found.start()), wrong),))
    return text


def _spot(text: str, at: int) -> Spot:
    ends = [found.end() for found in _LINE_ENDS.finditer(text, 0, at)]
    return len(ends) + 1, at - (ends[-1] if ends else 0) + 1


class _Stop(Exception):
    """The document is not worth reading further."""


class _Reader:
    """Builds the data and the places from YAML's events, within bounds."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._events: Iterator[Any] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._nodes = 0
        self._values: dict[Place, Spot] = {}
        self._keys: dict[Place, Spot] = {}
        self.problems: list[Problem] = []
        self._long_quote: Any = None

    def document(self) -> Document:
        data: Any = None
        try:
            next(self._events)  # the stream's start
            if isinstance(next(self._events), yaml.StreamEndEvent):
                self._stop((1, 1), "the file is empty: a policy begins with `version: 1`")
            data = self._node(next(self._events), (), 0)
            next(self._events)  # the document's end
            after = next(self._events)
            if not isinstance(after, yaml.StreamEndEvent):
                self._stop(_start(after), "a second document begins here: write one policy a file")
        except _Stop:
            return Document(self._name, None)
        if not isinstance(data, dict) and not self.problems:
            self._complain(
                self._values[()], f"a policy is a mapping that begins with `version: 1`, found {shown(data)}"
            )
        return Document(self._name, data, self._values, self._keys)

    def open_quote(self, error: yaml.MarkedYAMLError) -> Problem | None:
        """Find the quote that was left open, when it is what broke the syntax in the line where it ended."""
        quote, mark = self._long_quote, error.problem_mark
        if quote is None or mark is None or mark.line != quote.end_mark.line:
            return None
        wrong = f"the quote that begins here ends only in line {mark.line + 1}: close it earlier"
        return Problem(self._name, *_start(quote), wrong)

    def _node(self, event: Any, where: Place, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._stop(_start(event), f"the document has more than {MOST_NODES} words: split the policy")
        if depth > DEEPEST:
            self._stop(
                _start(event), f"this is nested more than {DEEPEST} levels deep: give parts names under `classes`"
            )
        self._values[where] = _start(event)
        if isinstance(event, yaml.AliasEvent):
            self._stop(
                _start(event),
                f"aliases such as *{event.anchor} are not part of the language: write the value out, "
                f'or put a glob in quotes, such as "*{event.anchor}"',
            )
        if event.anchor is not None:
            self._stop(
                _start(event),
                f"anchors such as &{event.anchor} are not part of the language: use `classes` to name things",
            )
        if event.tag is not None:
            self._complain(
                _start(event), f"tags such as {_tag(event)} are not part of the language: write the value alone"
            )
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(where, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(where, depth)
        return self._scalar(event, where)

    def _mapping(self, where: Place, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(_start(event), f"a key is plain text, found {_kind(event)}")
            key, place = event.value, (*where, event.value)
            plain = event.implicit[0]
            if plain and key == "<<":
                self._complain(_start(event), "merge keys (<<) are not part of the language: write the keys out")
            elif event.anchor is not None or event.tag is not None:
                self._complain(_start(event), "a key has no anchor or tag: write the key alone")
            elif plain and (key in _NULLS or _WHOLE.fullmatch(key) or _DECIMAL.fullmatch(key)):
                self._complain(_start(event), f"a key is text, found {_plainly(key)}: put it in quotes or delete it")
            elif key in mapping:
                first = self._keys[place][0]
                self._complain(_start(event), f"`{escaped(key)}` is here twice (first in line {first}): keep one")
                self._node(next(self._events), (*where, key, "again"), depth + 1)
                continue
            self._keys[place] = _start(event)
            mapping[key] = self._node(next(self._events), place, depth + 1)
        return mapping

    def _list(self, where: Place, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*where, len(items)), depth + 1))
        return items

    def _scalar(self, event: Any, where: Place) -> Any:
        text: str = event.value
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self._complain(_start(event), "half a character (a surrogate) cannot be written: delete the escape")
        if not event.implicit[0]:
            if event.style in ("'", '"') and event.end_mark.line > event.start_mark.line:
                self._long_quote = event
            return text
        if text in _NULLS:
            self._complain(*self._empty(event, where))
        elif text in ("true", "false"):
            return text == "true"
        elif _WHOLE.fullmatch(text):
            if len(text) > 24 or abs(int(text)) > _LARGEST_NUMBER:
                self._complain(_start(event), f"the number {escaped(text, 24)} is too large")
                return 0
            return int(text)
        elif _DECIMAL.fullmatch(text):
            return float(text)
        elif _NOT_FINITE.fullmatch(text):
            self._complain(_start(event), f"{text} is not a number that a policy can hold: write a finite one")
        return text

    def _empty(self, event: Any, where: Place) -> tuple[Spot, str]:
        if where in self._keys:
            return self._keys[where], f"`{escaped(str(where[-1]))}` has no value: write one, or leave the key out"
        if not where:
            return _start(event), "the file is empty: a policy begins with `version: 1`"
        return _start(event), "an item of the list is empty: write a value, or leave it out"

    def _complain(self, spot: Spot, message: str) -> None:
        self.problems.append(Problem(self._name, *spot, message))

    def _stop(self, spot: Spot, message: str) -> None:
        self._complain(spot, message)
        raise _Stop


def _start(event: Any) -> Spot:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _kind(event: Any) -> str:
    if isinstance(event, yaml.MappingStartEvent):
        return "a mapping"
    return "a list" if isinstance(event, yaml.SequenceStartEvent) else "an alias"


def _tag(event: Any) -> str:
    return escaped(event.tag.replace("tag:yaml.org,2002:", "!!"))


def _plainly(text: str) -> str:
    return "nothing" if text in _NULLS else f"the number {escaped(text, 24)}"


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    index, spot = (mark.index, (mark.line + 1, mark.column + 1)) if mark else (0, (1, 1))
    begin = error.context_mark or mark
    begin_spot = (begin.line + 1, begin.column + 1) if begin else spot
    letter, begin_letter = text[index : index + 1], text[begin.index : begin.index + 1] if begin else ""
    problem, context = error.problem or "", error.context or ""
    if letter == "\t":
        return Problem(name, *spot, "a tab cannot indent a line: use spaces")
    if "cannot start any token" in problem:
        return Problem(name, *spot, f"text cannot begin with `{letter}`: put it in quotes")
    if "block scalar" in context:
        return Problem(name, *begin_spot, f'text that begins with `{begin_letter}` needs quotes, such as "> 90d"')
    if "alias" in context:
        return Problem(name, *begin_spot, 'text that begins with `*` needs quotes, such as "*.mov"')
    if "anchor" in context:
        return Problem(name, *begin_spot, "text that begins with `&` needs quotes")
    if "tag" in context or "tag" in problem:
        return Problem(name, *begin_spot, "text that begins with `!` needs quotes; tags are not part of the language")
    for sign, what in (("flow sequence", "list"), ("flow mapping", "mapping")):
        if sign in context:
            return Problem(
                name, *begin_spot, f"the {what} that begins here is not closed, or lacks a `,` between items"
            )
    if "quoted scalar" in context and "stream" in problem:
        return Problem(name, *begin_spot, "the quote that begins here is not closed")
    for sign, advice in _ADVICE.items():
        if sign in problem:
            return Problem(name, *spot, advice)
    return Problem(name, *spot, f"this is not YAML: {problem}")


_ADVICE = {
    "mapping values are not allowed": "a `:` is out of place: indent this line like its neighbours, "
    "or put text that holds `: ` in quotes",
    "could not find expected ':'": "a key lacks its `:`, or a quote is not closed above",
    "did not find expected node content": "a value is missing here, or a bracket above is not closed",
    "did not find expected key": "expected a key like the ones above: check the indentation, and quotes that end early",
    "did not find expected '-'": "expected `- ` like the items above: check the indentation",
    "expected <document start>": "the document has ended above: write one policy a file",
    "incompatible YAML": "leave the %YAML line out",
    "directive": "lines that begin with `%` are not part of the language: leave this one out",
    "escape": "unknown escape in double quotes: write `\\\\` for a backslash, or use single quotes",
}
