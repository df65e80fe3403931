"""The entries of a list file, cut apart without ever holding more than one of them and a block."""

import re
from collections.abc import Iterator
from typing import IO

LONGEST = 1 << 20
BLOCK = 1 << 20
BOM = b"\xef\xbb\xbf"


class BadEntry(ValueError):
    """One entry of a list cannot be read: the text says why, and what to write instead."""


def entries(content: IO[bytes], separator: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Cut at each separator and number the entries from 1; one that is too long to be a path is None."""
    number, rest, too_long = 0, content.read(len(BOM)).removeprefix(BOM), False
    while block := content.read(BLOCK):
        *whole, rest = (rest + block).split(separator)
        for entry in whole:
            number += 1
            yield number, None if too_long or len(entry) > LONGEST else entry
            too_long = False
        if len(rest) > LONGEST:
            rest, too_long = b"", True
    if rest or too_long:
        *whole, last = rest.split(separator)
        for entry in (*whole, *([last] if last or too_long else [])):
            number += 1
            yield number, None if too_long else entry


def lines(content: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a text; all of them end as the first one does, with LF or with CR LF.

    Empty lines are told as they are, but for those at the end.
    """
    windows: bool | None = None
    empty: list[int] = []
    for number, line in entries(content, b"\n"):
        if line is not None and windows is None:
            windows = line.endswith(b"\r")
        if line is not None and windows and line.endswith(b"\r"):
            line = line[:-1]
        if line == b"":
            if len(empty) < 100:
                empty.append(number)
            continue
        yield from ((one, b"") for one in empty)
        empty = []
        yield number, line


def path_of(entry: bytes, *, of_line: bool) -> str:
    """Read a path with any bytes in it. Raises BadEntry for what cannot be one file of the Hub."""
    if not entry:
        raise BadEntry(
            "is empty: delete it, or, if a name ends with a newline, make the list with `find -print0` "
            "and write `format: nul`"
        )
    if of_line and entry.endswith(b"\r"):
        raise BadEntry(
            "ends with CR although the first line does not: save the list with one kind of line end, or, if the name "
            "ends so, make it with `find -print0` and write `format: nul`"
        )
    return checked(entry.decode("utf-8", "surrogateescape"))


def checked(path: str) -> str:
    """Check an exact path. Raises BadEntry."""
    if not path.startswith("/"):
        raise BadEntry("is not a path that starts with `/`: write paths from the root, as the Hub names them")
    if "\0" in path:
        raise BadEntry("holds a NUL byte: paths that end with NUL need `format: nul`")
    if _UNCLEAR.search(path):
        raise BadEntry("holds an empty, `.` or `..` part: write the path out in full")
    return path


def gpfs_path(line: bytes, *, escaped: bool) -> str:
    r"""Read `inode generation snapshot [shown attributes] -- /path`, as the GPFS policy engine writes its file lists.

    With ESCAPE '%' in the engine's rule every special byte of the path is `%XX`; without it a newline is `\n` and a
    backslash `\\`. Raises BadEntry.
    """
    found = _GPFS.match(line)
    if found is None:
        raise BadEntry("is no line of a GPFS file list: expected `inode generation snapshot -- /path`")
    shown, path = found["shown"], found["path"]
    if shown and b" -- /" in path:
        raise BadEntry("holds ` -- /` twice, so the path's beginning is not clear: make the list without SHOW")
    path = _percent(path) if escaped else _backslashes(path)
    return path_of(path, of_line=not escaped)


def is_gpfs(line: bytes) -> bool:
    """Tell whether a line is of a GPFS file list."""
    return _GPFS.match(line) is not None


def has_percent(line: bytes) -> bool:
    """Tell whether a `%XX` stands in the path of a GPFS line."""
    found = _GPFS.match(line)
    return found is not None and _PERCENT.search(found["path"]) is not None


_UNCLEAR = re.compile(r"/\.{0,2}(?:/|\Z)")
_GPFS = re.compile(rb"[ \t]*[0-9]+[ \t]+[0-9]+[ \t]+-?[0-9]+[ \t](?P<shown>.*?)-- (?P<path>/.*)\Z", re.DOTALL)
_PERCENT = re.compile(rb"%(?:[0-9A-Fa-f]{2})")
_ODD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)


def _percent(path: bytes) -> bytes:
    if _ODD_PERCENT.search(path):
        raise BadEntry("holds a `%` without two hexadecimal digits after it: a list without ESCAPE is `format: gpfs`")
    return _PERCENT.sub(lambda found: bytes([int(found[0][1:], 16)]), path)


def _backslashes(path: bytes) -> bytes:
    if b"\\" not in path:
        return path
    if any(found[1] not in (b"n", b"\\") for found in _ESCAPE.finditer(path)):
        raise BadEntry(
            r"holds a `\` that is neither `\n` nor `\\`: make the list with ESCAPE '%' in the rule "
            "and write `format: gpfs-escape`"
        )
    return _ESCAPE.sub(lambda found: b"\n" if found[1] == b"n" else b"\\", path)
