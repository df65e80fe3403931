"""Globs over path text: `*` and `?` stay inside one directory, `**` crosses directories."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

LONGEST_GLOB = 4096
MOST_WILDCARDS = 32


class Wildcard(Enum):
    """A part of a glob that stands for any number of characters."""

    NAME = "*"
    PATH = "**"
    DIRECTORIES = "**/"


@dataclass(frozen=True)
class Letters:
    """A part of a glob that stands for one character: in (or, negated, not in) the ranges, and never `/`."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def holds(self, letter: str) -> bool:
        """Tell whether the character fits."""
        inside = any(first <= letter <= last for first, last in self.ranges)
        return inside != self.negated and letter != "/"


Part = str | Letters | Wildcard
_ANY_LETTER = Letters((), negated=True)


@lru_cache(maxsize=4096)
def glob_parts(pattern: str) -> tuple[Part, ...]:
    """Read a glob; raise ValueError that says what to write instead."""
    if not pattern:
        raise ValueError("a glob must not be empty: write at least `*`")
    if len(pattern) > LONGEST_GLOB:
        raise ValueError(f"a glob has at most {LONGEST_GLOB} characters")
    if "\0" in pattern:
        raise ValueError("a glob cannot hold a NUL character: no file name does")
    parts: list[Part] = []
    at = 0
    while at < len(pattern):
        part, at = _part(pattern, at)
        parts.append(part)
    if sum(isinstance(part, Wildcard) for part in parts) > MOST_WILDCARDS:
        raise ValueError(f"a glob has at most {MOST_WILDCARDS} of `*` and `**`: write several globs")
    return tuple(parts)


@lru_cache(maxsize=4096)
def glob_regex(pattern: str) -> str:
    """Translate a glob to a regular expression for a full match, in Python's `re` and in RE2 alike.

    There are no anchors in it: use `re.fullmatch`, or DuckDB's `regexp_full_match`. Newlines are ordinary characters.
    """
    return "".join(_regex(part) for part in glob_parts(pattern))


def glob_matches(pattern: str, text: str) -> bool:
    """Tell whether the glob matches the whole text, in time proportional to their lengths' product."""
    parts = glob_parts(pattern)
    places = _reach(parts, {0})
    inside: set[int] = set()  # `**/` parts that are in the middle of a directory
    for letter in text:
        places, inside = _step(parts, places, inside, letter)
        if not places and not inside:
            return False
    return len(parts) in places


def _part(pattern: str, at: int) -> tuple[Part, int]:
    letter = pattern[at]
    if letter == "?":
        return _ANY_LETTER, at + 1
    if letter == "[":
        return _letters(pattern, at)
    if letter != "*":
        return letter, at + 1
    stars = len(pattern) - at - len(pattern[at:].lstrip("*"))
    if stars > 2:
        raise ValueError(f"`{'*' * stars}` is not a wildcard: write `*` inside a directory, `**` across directories")
    if stars == 1:
        return Wildcard.NAME, at + 1
    if pattern.startswith("/", at + 2) and (at == 0 or pattern[at - 1] == "/"):
        return Wildcard.DIRECTORIES, at + 3
    return Wildcard.PATH, at + 2


def _letters(pattern: str, at: int) -> tuple[Letters, int]:
    start = at + 2 if pattern.startswith("!", at + 1) else at + 1
    end = pattern.find("]", start + 1)
    if end < 0:
        raise ValueError("a `[` has no `]` in the glob: close it, or write `[[]` for the character itself")
    inside = pattern[start:end]
    if "/" in inside:
        raise ValueError("a `[...]` in a glob stands for one character of a name and cannot hold `/`")
    ranges: list[tuple[str, str]] = []
    index = 0
    while index < len(inside):
        first = last = inside[index]
        if inside[index + 1 : index + 2] == "-" and index + 2 < len(inside):
            last = inside[index + 2]
            index += 2
        if first > last:
            raise ValueError(f"the range `{first}-{last}` in the glob runs backwards: write `{last}-{first}`")
        ranges.append((first, last))
        index += 1
    return Letters(tuple(ranges), negated=start == at + 2), end + 1


def _regex(part: Part) -> str:
    if isinstance(part, str):
        return _escaped(part)
    if isinstance(part, Letters):
        return _letters_regex(part)
    return {Wildcard.NAME: "[^/]*", Wildcard.PATH: "(?s:.*)", Wildcard.DIRECTORIES: "(?s:.*/)?"}[part]


def _letters_regex(letters: Letters) -> str:
    ranges = [_escaped(first) + "-" + _escaped(last) for first, last in _without_slash(letters)]
    if letters.negated:
        return f"[^{''.join(['/', *ranges])}]"
    return f"[{''.join(ranges)}]"


def _without_slash(letters: Letters) -> list[tuple[str, str]]:
    if letters.negated:
        return list(letters.ranges)
    cut: list[tuple[str, str]] = []
    for first, last in letters.ranges:
        if first <= "/" <= last:
            cut += [(low, high) for low, high in ((first, "."), ("0", last)) if low <= high]
        else:
            cut.append((first, last))
    return cut


def _escaped(letter: str) -> str:
    # Not re.escape: RE2 refuses a backslash before some of what it escapes.
    return "\\" + letter if letter in "\\.^$*+?{}[]|()-" else letter


def _reach(parts: tuple[Part, ...], places: set[int]) -> set[int]:
    reached: set[int] = set()
    for place in places:
        reached.add(place)
        while place < len(parts) and isinstance(parts[place], Wildcard):
            place += 1
            reached.add(place)
    return reached


def _step(parts: tuple[Part, ...], places: set[int], inside: set[int], letter: str) -> tuple[set[int], set[int]]:
    following: set[int] = set()
    within = set(inside)
    for place in places:
        if place == len(parts):
            continue
        part = parts[place]
        if part is Wildcard.DIRECTORIES:
            within.add(place)
        elif isinstance(part, Wildcard):
            if part is Wildcard.PATH or letter != "/":
                following.add(place)
        elif part.holds(letter) if isinstance(part, Letters) else part == letter:
            following.add(place + 1)
    if letter == "/":
        following |= {place + 1 for place in within}
    return _reach(parts, following), within
