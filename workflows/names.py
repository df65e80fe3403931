"""Path text: names that need not be UTF-8, as text that every store and matcher can hold.

A Hub may name a file with bytes that are not UTF-8; such a name reaches Python as a `str` with lone surrogates, and
that is the *exact path*. *Path text* is its twin in valid Unicode: each surrogate is moved into the last 2,048 code
points of plane 16 (private use), and a character that lives there by nature is written as its two surrogates, moved
likewise. Everything of ours stores and matches path text; only the edge to the Hub uses exact paths.
"""

import re

_SHIFT = 0x102000
_UNSTORABLE = re.compile("[\ud800-\udfff\U0010f800-\U0010ffff]")
_MOVED = re.compile("[\U0010fbfe\U0010fbff][\U0010fc00-\U0010ffff]|[\U0010f800-\U0010ffff]")
_WORDS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def to_text(path: str) -> str:
    """Give the storable twin of an exact path; `to_path` gives the path back.

    The two halves of one surrogate pair side by side are the same name as the character they stand for, as in JSON.
    """
    return path if path.isascii() else _UNSTORABLE.sub(_move, path)


def to_path(text: str) -> str:
    """Give the exact path, as the Hub named it, of a path text."""
    return text if text.isascii() else _MOVED.sub(_move_back, text)


def shown(text: str) -> str:
    r"""Write a path or path text for people: one line, bytes as \xNN, invisible characters escaped, `\` doubled."""
    return printable(text.replace("\\", "\\\\"))


def printable(text: str) -> str:
    """Write a message on one line for people, escaped like a path; its `\\` stay, since it may hold such paths."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in to_path(text))


def name_of(text: str) -> str:
    """Give the last component of a path or path text."""
    return text[text.rfind("/") + 1 :]


def extension(text: str) -> str | None:
    """Give what follows the last dot of the name, ASCII-lowered; None without a dot, after a leading or a last one."""
    name = name_of(text)
    dot = name.rfind(".")
    return ascii_lower(name[dot + 1 :]) or None if dot > 0 else None


def ascii_lower(text: str) -> str:
    """Lower A to Z alone, so that the result does not depend on a Unicode version."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _move(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return chr(code + _SHIFT)
    offset = code - 0x10000
    return chr(0xD800 + (offset >> 10) + _SHIFT) + chr(0xDC00 + (offset & 0x3FF) + _SHIFT)


def _move_back(match: re.Match[str]) -> str:
    codes = [ord(char) - _SHIFT for char in match[0]]
    if len(codes) == 1:
        return chr(codes[0])
    high, low = codes
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _WORDS:
        return _WORDS[char]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
