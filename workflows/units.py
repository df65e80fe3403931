"""The units of the policy language: durations, sizes, percents, ages, and comparisons with them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Literal

from workflows.names import printable

Operator = Literal["<", "<=", ">", ">=", "="]

MICROSECONDS = 1_000_000
LONGEST = timedelta(days=36_500)
LARGEST = 2**63 - 1
MOST_MISTAKES = 50


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a document: where below the value that was read, and what to write instead."""

    where: tuple[str | int, ...]
    text: str
    at_key: bool = False


class Mistakes(ValueError):
    """Several mistakes found in one value."""

    def __init__(self, found: Iterable[Mistake]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(mistake.text for mistake in self.found))


def parse_duration(value: object) -> timedelta:
    """Read `30s`, `5m`, `2h`, `7d` or `4w`; raise ValueError that says what to write instead."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expects a duration such as 30s, 5m, 2h, 7d or 4w, found {shown(value)}")
    found = _QUANTITY.fullmatch(str(value))
    if not found:
        raise ValueError(f"expects a duration such as 30s, 5m, 2h, 7d or 4w, found {shown(value)}")
    number, unit = found["number"], found["unit"]
    if unit in _SECONDS and not found["gap"] and _WHOLE.fullmatch(number):
        seconds = int(number.replace("_", "")) * _SECONDS[unit]
        if seconds > LONGEST.total_seconds():
            raise ValueError(f"{shown(value)} is too long: the longest duration is 36500d")
        return timedelta(seconds=seconds)
    raise ValueError(_duration_advice(number, unit, value))


def duration_text(duration: timedelta) -> str:
    """Write a duration in its largest unit that needs no fraction."""
    seconds, rest = divmod(duration, timedelta(seconds=1))
    if rest or seconds < 0:
        raise ValueError(f"{duration} is not a whole, positive number of seconds")
    if seconds == 0:
        return "0s"
    return next(f"{seconds // size}{unit}" for unit, size in reversed(_SECONDS.items()) if seconds % size == 0)


def microseconds(duration: timedelta) -> int:
    """Give a duration as a whole number of microseconds."""
    return duration // timedelta(microseconds=1)


def parse_size(value: object) -> int:
    """Read `128KiB`, `50TB`, `512B` or `0` as bytes; raise ValueError that says what to write instead."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expects a size such as 128KiB, 4GiB or 50TB, found {shown(value)}")
    text = str(value)
    if text == "0":
        return 0
    found = _QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f"expects a size such as 128KiB, 4GiB or 50TB, found {shown(value)}")
    number, unit = found["number"], found["unit"]
    if unit in _BYTES and not found["gap"] and _WHOLE.fullmatch(number):
        size = int(number.replace("_", "")) * _BYTES[unit]
        if size > LARGEST:
            raise ValueError(f"{shown(value)} is too large: the largest size is 8191PiB")
        return size
    raise ValueError(_size_advice(number, unit, value))


def size_text(size: int) -> str:
    """Write a number of bytes in the unit that makes the shortest exact text."""
    if size == 0:
        return "0B"
    return min((f"{size // unit}{name}" for name, unit in _BYTES.items() if size % unit == 0), key=len)


def parse_percent(value: object) -> float:
    """Read `85%`, above 0 and at most 100; raise ValueError that says what to write instead."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expects a percentage such as 20%, found {shown(value)}")
    found = _PERCENT.fullmatch(str(value))
    if not found:
        raise ValueError(f"expects a percentage such as 20%, found {shown(value)}")
    number = float(found["number"])
    if not 0 < number <= 100:
        raise ValueError(f"{shown(value)} is out of range: a percentage is above 0% and at most 100%")
    if not found["sign"]:
        raise ValueError(f"a percentage needs its sign: write {found['number']}%")
    return number


def percent_text(percent: float) -> str:
    """Write a percentage without needless digits."""
    return f"{percent:.4f}".rstrip("0").rstrip(".") + "%"


def parse_ago(value: object) -> timedelta:
    """Read an age such as `120d ago`; raise ValueError that says what to write instead."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not value.endswith(" ago"):
        advice = f": write {value} ago" if isinstance(value, str) and _is_duration(value) else ""
        raise ValueError(f"expects an age such as `120d ago`, found {shown(value)}{advice}")
    return parse_duration(value.removesuffix(" ago").rstrip(" "))


def ago_text(age: timedelta) -> str:
    """Write an age as the language reads it."""
    return f"{duration_text(age)} ago"


def split_comparison(value: object, example: str) -> tuple[Operator, str]:
    """Split `> 90d` into its operator and the rest; raise ValueError that says what to write instead."""
    if not isinstance(value, str):
        advice = f'write "= {value}"' if isinstance(value, int) and value == 0 and not isinstance(value, bool) else ""
        raise ValueError(
            f'expects a comparison in quotes such as "{example}", found {shown(value)}' + (advice and f": {advice}")
        )
    text = value.strip()
    for sign, meant in _NEAR_SIGNS.items():
        if text.startswith(sign):
            raise ValueError(f'`{sign}` is not a comparison: write "{meant} {text.removeprefix(sign).strip()}"')
    for operator in _OPERATORS:
        if text.startswith(operator):
            rest = text.removeprefix(operator).strip()
            if not rest:
                raise ValueError(f'the comparison lacks its value: write it like "{example}"')
            return operator, rest
    raise ValueError(f'expects a comparison such as "{example}", found {shown(value)}: start with <, <=, >, >= or =')


def nearest(word: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """Find the known word that was probably meant."""
    known = list(known)[:500]
    meant = (synonyms or {}).get(word.lower())
    if meant in known:
        return meant
    slips = _slips(word.lower())
    for slip in slips:
        if slip in known:
            return slip
    close = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return close[0] if close else next((each for each in known if word.lower() in _slips(each)), None)


def advice(word: str, known: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """Say which known word was probably meant, or else which words are known."""
    known = list(known)
    close = nearest(word, known, synonyms)
    if close:
        return f"did you mean `{close}`?"
    return f"expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}" if known else "expected nothing here"


def shown(value: object) -> str:
    """Name a value of a document in one short line, with anything unprintable escaped."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int | float):
        return f"the number {value}"
    return f"`{escaped(str(value))}`"


def escaped(text: str, longest: int = 60) -> str:
    """Escape what cannot be printed and cut what is long."""
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return printable(text)


def _slips(word: str) -> list[str]:
    """List what was meant if two letters were swapped, or one was written twice or too much; not for long texts."""
    if not 2 <= len(word) <= 40:
        return []
    swapped = [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]
    return swapped + [word[:at] + word[at + 1 :] for at in range(len(word))]


_QUANTITY = re.compile(r"(?P<number>[0-9][0-9_]{0,24}(?:\.[0-9]{1,9})?)(?P<gap> *)(?P<unit>[A-Za-z]{0,12})")
_WHOLE = re.compile(r"[0-9]{1,19}|[0-9]{1,3}(?:_[0-9]{3}){1,6}")
_PERCENT = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,4})?)(?P<sign>%?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {
    "PiB": 2**50, "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10,
    "PB": 10**15, "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1,
}  # fmt: skip
_OPERATORS: tuple[Operator, ...] = ("<=", ">=", "<", ">", "=")
_NEAR_SIGNS = {"==": "=", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "<>": "<"}
_DURATION_WORDS = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "day": "d", "days": "d", "week": "w", "weeks": "w",
}  # fmt: skip
_DAYS = {"mo": 30, "month": 30, "months": 30, "y": 365, "yr": 365, "year": 365, "years": 365}
_SIZE_WORDS = {
    "k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB", "p": "PiB",
    "bytes": "B", "byte": "B", **{name.lower(): name for name in _BYTES},
}  # fmt: skip


def _is_duration(text: str) -> bool:
    found = _QUANTITY.fullmatch(text)
    return bool(found and found["unit"] in _SECONDS)


def _duration_advice(number: str, unit: str, value: object) -> str:
    word = unit.lower()
    if not unit:
        return f"a duration needs a unit: write {number}s, {number}m, {number}h, {number}d or {number}w"
    if "." in number:
        return f"a duration is a whole number: write {shown(value)} in a smaller unit of s, m, h, d, w"
    if "_" in number and not _WHOLE.fullmatch(number):
        return f"{shown(value)} is not a number: group digits by three, or leave out the `_`"
    if word in _DAYS and _WHOLE.fullmatch(number):
        return f"`{unit}` is not a unit of time: write {int(number.replace('_', '')) * _DAYS[word]}d"
    meant = unit if unit in _SECONDS else word if word in _SECONDS else _DURATION_WORDS.get(word)
    if meant:
        return f"{shown(value)} is not a duration: write {number}{meant}"
    return f"`{unit}` is not a unit of time: the units are s, m, h, d, w"


def _size_advice(number: str, unit: str, value: object) -> str:
    if not unit:
        return f"a size needs a unit: write {number}B for bytes, or use KiB, MiB, GiB, TiB, kB, MB, GB, TB"
    meant = unit if unit in _BYTES else _SIZE_WORDS.get(unit.lower())
    if not meant:
        return f"`{unit}` is not a unit of size: the units are B, KiB, MiB, GiB, TiB, PiB, kB, MB, GB, TB, PB"
    if "_" in number and not _WHOLE.fullmatch(number):
        return f"{shown(value)} is not a number: group digits by three, or leave out the `_`"
    if "." in number:
        return f"a size is a whole number: write {shown(value)} in a smaller unit, such as 1536GiB for 1.5TiB"
    return f"{shown(value)} is not a size: write {number}{meant}"
