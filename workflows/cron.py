"""Cron expressions: five fields with one meaning, read strictly, written back in one form.

What cron dialects read differently is refused or normalised here: a day of the month together with a day of the week
(AND in some, OR in others), 7 for Sunday, `L`, `W`, `#`, `?`, six fields, ranges that wrap. `@daily` and its like
become the five fields that they stand for.
"""

import calendar
import re
from dataclasses import dataclass
from typing import Final

from workflows.units import advice, shown

__all__ = ["Cron", "parse_cron"]

MACROS: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip


@dataclass(frozen=True)
class Cron:
    """Five fields: minute, hour, day of the month, month, day of the week (0 is Sunday); `*` is every value."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"

    @property
    def fixed(self) -> bool:
        """Whether it names one time of the day; any other follows elapsed time through a change of the clocks."""
        return self.minute.isdecimal() and self.hour.isdecimal()


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    greatest: int
    words: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("", *(name.lower() for name in calendar.month_abbr[1:]))),
    _Field("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_PART = re.compile(r"(?P<first>\*|[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?(?:/(?P<step>[0-9]+))?", re.IGNORECASE)
_LONGEST: Final = 200
_LONGEST_MONTH = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


def parse_cron(value: object) -> Cron:
    """Read a cron expression; raise ValueError that says what to write instead."""
    if isinstance(value, Cron):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError(f'expects a cron expression in quotes such as "0 22 * * 1-5", found {shown(value)}')
    text = value.strip()
    if text.startswith("@"):
        if text.lower() not in MACROS:
            raise ValueError(f"{shown(value)} is not known here: {advice(text.lower(), MACROS)}")
        text = MACROS[text.lower()]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(_wrong_count(len(parts), value))
    sets = [_values(field, part) for field, part in zip(_FIELDS, parts, strict=True)]
    _check_days(parts, sets)
    return Cron(*(_text(field, values) for field, values in zip(_FIELDS, sets, strict=True)))


def _wrong_count(count: int, value: object) -> str:
    if count == 6:
        return (
            f"{shown(value)} has six fields, which dialects read differently: write five "
            "(minute, hour, day of the month, month, day of the week), without seconds or a year"
        )
    return f"{shown(value)} has {count} fields: write five (minute, hour, day of the month, month, day of the week)"


def _values(field: _Field, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {field.name} {shown(text)}: {_odd_sign(field, part)}")
        found.update(_range(field, match, part))
    return frozenset(found)


def _odd_sign(field: _Field, part: str) -> str:
    if "#" in part:
        return "`#` is not part of the language: write a day of the week such as mon, or days of the month such as 8-14"
    if "?" in part:
        return "`?` is not part of the language: write `*`"
    return f"{shown(part)} is no value: write a number, a range such as 1-5, a list such as 1,3, or a step such as */15"


def _range(field: _Field, match: re.Match[str], part: str) -> range:
    step = int(match["step"] or 1)
    if step == 0 or step > field.greatest:
        raise ValueError(f"the {field.name} {shown(part)}: a step is at least 1 and at most {field.greatest}")
    if match["first"] == "*":
        if match["last"]:
            raise ValueError(f"the {field.name} {shown(part)}: `*` has no end, write `*` alone")
        return range(field.least, field.greatest + 1, step)
    first = _number(field, match["first"])
    if match["last"] is None:
        if match["step"]:
            raise ValueError(
                f"the {field.name} {shown(part)}: a step needs a range, "
                f"write {match['first']}-{field.greatest}/{step} or */{step}"
            )
        return range(first, first + 1)
    last = _number(field, match["last"])
    if last < first:
        raise ValueError(
            f"the {field.name} {shown(part)} runs backwards: write two ranges, "
            f"{match['first']}-{field.greatest},{field.least}-{match['last']}"
        )
    return range(first, last + 1, step)


def _number(field: _Field, text: str) -> int:
    word = text.lower()
    if word in field.words and word:
        return field.words.index(word)
    if not text.isdecimal():
        if set(word) & set("lw") and not set(word) - set("lw0123456789"):
            raise ValueError(
                f"the {field.name} {shown(text)}: `L` and `W` are not part of the language: write the days as numbers"
            )
        known = f": {advice(word, [known for known in field.words if known])}" if field.words else ": write a number"
        raise ValueError(f"the {field.name} {shown(text)} is not known{known}")
    number = int(text)
    if number == 7 and field.greatest == 6:
        raise ValueError(f"the {field.name} {shown(text)}: not every program knows 7 as Sunday, write 0 or sun")
    if not field.least <= number <= field.greatest:
        raise ValueError(f"the {field.name} {shown(text)} is out of range: {field.least} to {field.greatest}")
    return number


def _check_days(parts: list[str], sets: list[frozenset[int]]) -> None:
    days, months, weekdays = sets[2], sets[3], sets[4]
    if len(days) < 31 and len(weekdays) < 7:
        raise ValueError(
            "both a day of the month and a day of the week are given, which some programs read as AND, others as OR: "
            f"write two triggers, one with `{parts[2]} {parts[3]} *`, one with `* {parts[3]} {parts[4]}`"
        )
    longest = max(_LONGEST_MONTH[month] for month in months)
    if min(days) > longest:
        raise ValueError(f"no month of {shown(parts[3])} has a day {parts[2]}: write a day up to {longest}")


def _text(field: _Field, values: frozenset[int]) -> str:
    everything = range(field.least, field.greatest + 1)
    if len(values) == len(everything):
        return "*"
    ordered = sorted(values)
    if len(ordered) == 1:
        return str(ordered[0])
    step = ordered[1] - ordered[0]
    if len(ordered) > 2 and ordered == list(everything[ordered[0] - field.least :: step]) and step > 1:
        return f"*/{step}" if ordered[0] == field.least else f"{ordered[0]}-{field.greatest}/{step}"
    return ",".join(_runs(ordered))


def _runs(ordered: list[int]) -> list[str]:
    runs: list[list[int]] = []
    for number in ordered:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" if len(run) > 2 else f"{run[0]},{run[1]}"
        for run in runs
    ]
