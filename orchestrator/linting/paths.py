"""Paths that exist: whether any path at all fits some globs and does not fit others, decided by an automaton.

A path begins with `/` and does not end with one; anything else may be the name of a file. The answer "none" is a
proof; "perhaps" is given where a proof would take too long.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Final

from workflows.globs import Letters, Part, Wildcard, glob_parts
from workflows.names import ascii_lower

Parts = tuple[Part, ...]
PathTest = tuple[frozenset[Parts], bool]
"""Globs and whether the path must fit at least one of them (True) or none of them (False)."""

MOST_STEPS: Final = 20_000
MOST_PARTS: Final = 4_000
_ANY: Final = Letters((), negated=True)
_LAST: Final = 0x10FFFF
_MOST_REMEMBERED: Final = 50_000


def path_globs(patterns: Iterable[str]) -> frozenset[Parts]:
    """Read globs of whole paths."""
    return frozenset(glob_parts(pattern) for pattern in patterns)


def name_globs(patterns: Iterable[str]) -> frozenset[Parts]:
    """Read globs of a path's last part as globs of the whole path."""
    found = set()
    for pattern in patterns:
        parts = [part for part in glob_parts(pattern) if part is not Wildcard.DIRECTORIES]
        if "/" not in parts:  # a name holds none
            inside = (Wildcard.NAME if part is Wildcard.PATH else part for part in parts)
            found.add((Wildcard.PATH, "/", *inside))
    return frozenset(found)


def of_types(types: Iterable[str]) -> frozenset[Parts]:
    """Give the globs of names with one of the extensions, which are in small letters and not empty."""
    return frozenset(
        (Wildcard.PATH, "/", _ANY, Wildcard.NAME, ".", *map(_either_case, kind))
        for kind in types
        if kind and "." not in kind and "/" not in kind and kind == ascii_lower(kind)
    )


WITH_TYPE: Final = frozenset({(Wildcard.PATH, "/", _ANY, Wildcard.NAME, ".", _ANY, Wildcard.NAME)})
"""Names with a dot inside; they have an extension unless they are in `DOT_LAST`."""
DOT_LAST: Final = frozenset({(Wildcard.PATH, "/", Wildcard.NAME, ".")})
"""Names that end with a dot: no extension."""


def some_path(tests: Iterable[PathTest], folders: Iterable[str] = ("/",)) -> bool:
    """Tell whether there may be a path, in one of the folders, that passes every test; False is certain."""
    return _some_path(frozenset(tests), tuple(folders))


@lru_cache(maxsize=4096)
def _some_path(tests: frozenset[PathTest], folders: tuple[str, ...]) -> bool:
    if any(wanted and not globs for globs, wanted in tests):
        return False
    refused = frozenset().union(*(globs for globs, wanted in tests if not wanted))
    if any(wanted and globs <= refused for globs, wanted in tests):
        return False
    if sum(len(parts) for globs, _ in tests for parts in globs) > MOST_PARTS:
        return True
    search = _Search([(_globs(globs), wanted) for globs, wanted in tests if globs])
    stems = [folder.rstrip("/") for folder in folders]
    return any(search.passes(guess) for guess in _guesses(tests, stems)) or any(map(search.within, stems))


class _Search:
    """One search for a path, which goes through letters of every kind that the globs tell apart."""

    def __init__(self, tests: list[tuple["_Globs", bool]]) -> None:
        self._globs = [globs for globs, _ in tests]
        self._wanted = [wanted for _, wanted in tests]
        self._steps = 0

    def passes(self, path: str) -> bool:
        """Tell whether this path passes every test."""
        states = tuple(globs.start for globs in self._globs)
        for letter in path:
            states = self._step(states, letter)
        return not path.endswith("/") and self._accepts(states)

    def within(self, folder: str) -> bool:
        """Tell whether there may be such a path below the folder, or the folder's own; the root is the empty text."""
        states = tuple(globs.start for globs in self._globs)
        for letter in folder:
            states = self._step(states, letter)
        if folder and self._accepts(states):
            return True
        states = self._step(states, "/")
        seen, waiting = {states}, [states] if self._alive(states) else []
        while waiting:
            states = waiting.pop()
            self._steps += len(self._letters)
            if self._steps > MOST_STEPS:
                return True
            for letter in self._letters:
                following = self._step(states, letter)
                if letter != "/" and self._accepts(following):
                    return True
                if following not in seen and self._alive(following):
                    seen.add(following)
                    waiting.append(following)
        return False

    @cached_property
    def _letters(self) -> list[str]:
        starts = {1, ord("/") + 1}.union(*(globs.starts for globs in self._globs))
        kinds = {self._kind(letter): letter for letter in map(chr, sorted(starts)) if letter != "/"}
        return ["/", *kinds.values()]

    def _kind(self, letter: str) -> tuple[tuple[int, int], ...]:
        return tuple(globs.masks(letter) for globs in self._globs)

    def _step(self, states: tuple[int, ...], letter: str) -> tuple[int, ...]:
        return tuple([globs.step(state, letter) for globs, state in zip(self._globs, states, strict=True)])

    def _alive(self, states: tuple[int, ...]) -> bool:
        return all(state or not wanted for state, wanted in zip(states, self._wanted, strict=True))

    def _accepts(self, states: tuple[int, ...]) -> bool:
        return all(
            bool(state & globs.final) is wanted
            for globs, state, wanted in zip(self._globs, states, self._wanted, strict=True)
        )


def _guesses(tests: frozenset[PathTest], folders: list[str]) -> Iterator[str]:
    """Make up paths that are likely to pass: the search for one costs a hundred times as much."""
    wanted = [min(globs, key=len) for globs, wanted in tests if wanted]
    names = [parts[2:] for parts in wanted if parts[:2] == (Wildcard.PATH, "/")] or [(_ANY,)]
    given = [_instance(parts) for parts in wanted if parts[0] == "/"]
    inside = [path for path in given if any(path.startswith(f"{folder}/") for folder in folders)]
    for stem in (*folders, *inside, *(path.rpartition("/")[0] for path in inside)):
        yield stem or "/"
        for name in names:
            yield f"{stem}/{_instance(name)}"


def _instance(parts: Parts) -> str:
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, Letters):
            found.append("q" if part.holds("q") or not part.ranges else part.ranges[0][0])
        elif part is not Wildcard.DIRECTORIES:
            found.append("q")
    return "".join(found)


@lru_cache(maxsize=2048)
def _globs(globs: frozenset[Parts]) -> "_Globs":
    return _Globs(globs)


class _Globs:
    """Several globs side by side: the positions reached in them are the bits of one number."""

    def __init__(self, globs: frozenset[Parts]) -> None:
        self._placed: list[tuple[int, Part]] = []
        self._wild = self._directories = self.final = 0
        start = at = 0
        for parts in globs:
            start |= 1 << at
            self._placed += [(1 << (at + offset), part) for offset, part in enumerate(parts)]
            at += len(parts) + 1
            self.final |= 1 << (at - 1)
        for bit, part in self._placed:
            self._wild |= bit if isinstance(part, Wildcard) else 0
            self._directories |= bit if part is Wildcard.DIRECTORIES else 0
        self._width = at
        self._masks: dict[str, tuple[int, int]] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self.start = self._closed(start)
        self.starts = frozenset(_starts(part for _, part in self._placed))

    def step(self, state: int, letter: str) -> int:
        """Go on by one letter; 0 is nowhere."""
        found = self._steps.get((state, letter))
        if found is None:
            if len(self._steps) >= _MOST_REMEMBERED:
                self._steps.clear()
            found = self._steps[state, letter] = self._stepped(state, letter)
        return found

    def masks(self, letter: str) -> tuple[int, int]:
        """Give the positions that a letter advances, and those at which it stays."""
        if letter not in self._masks:
            advance = stay = 0
            for bit, part in self._placed:
                if isinstance(part, Wildcard):
                    if part is Wildcard.PATH or (part is Wildcard.NAME and letter != "/"):
                        stay |= bit
                elif part.holds(letter) if isinstance(part, Letters) else part == letter:
                    advance |= bit
            self._masks[letter] = (advance, stay)
        return self._masks[letter]

    def _stepped(self, state: int, letter: str) -> int:
        advance, stay = self.masks(letter)
        # Within a `**/` a position waits for the next `/`: those bits stand `width` higher.
        within = state >> self._width | state & self._directories
        following = (state & advance) << 1 | state & stay
        if letter == "/":
            following |= within << 1
        return self._closed(following) | within << self._width

    def _closed(self, state: int) -> int:
        while (more := state | (state & self._wild) << 1) != state:
            state = more
        return state


def _starts(parts: Iterable[Part]) -> Iterator[int]:
    """Give the first letters of the stretches of Unicode that the parts tell apart."""
    for part in parts:
        ranges = part.ranges if isinstance(part, Letters) else ((part, part),) if isinstance(part, str) else ()
        for first, last in ranges:
            yield ord(first)
            if ord(last) < _LAST:
                yield ord(last) + 1


def _either_case(letter: str) -> Part:
    if not letter.isascii() or letter.upper() == letter:
        return letter
    return Letters(((letter, letter), (letter.upper(), letter.upper())))
