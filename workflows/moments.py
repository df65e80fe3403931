"""The field types of a policy that name moments: crons, zones, dates, times of the day, days of the week."""

import re
from datetime import date, time
from typing import Annotated, Final

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from workflows.cron import parse_cron
from workflows.units import advice, shown

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _cron(value: object) -> str:
    return str(parse_cron(value))


def _zone(value: str) -> str:
    # Whether the zone exists is asked at the door (`orchestrator.zones`): the list of zones is on the disk.
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", value) and len(value) <= 64:
        return value
    raise ValueError(f"{shown(value)} is not a time zone: write one such as Europe/London, or UTC")


def _date(value: object) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            found = date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"there is no day {shown(value)}") from None
        if not 2000 <= found.year <= 2200:
            raise ValueError(f"{shown(value)} is out of range: write a day between 2000 and 2200")
        return found
    raise ValueError(f"expects a date such as 2026-12-25, found {shown(value)}")


def _time_of_day(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time.fromisoformat(value)
    near = ""
    if isinstance(value, str) and re.fullmatch(r"[0-9]:[0-5][0-9]", value):
        near = f': write "0{value}"'
    elif value == "24:00":
        near = ': write "00:00"'
    raise ValueError(f'expects a time of the day such as "19:00", found {shown(value)}{near}')


def _days(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError(f"expects days such as mon-fri or [sat, sun], found {shown(value)}")
    found: set[int] = set()
    for part in parts:
        first, _, last = part.strip().lower().partition("-") if isinstance(part, str) else ("", "", "")
        numbers = [_day(word, value if not isinstance(part, str) else part) for word in (first, last or first)]
        if numbers[1] < numbers[0]:
            ends = (first if first == "sun" else f"{first}-sun", last if last == "mon" else f"mon-{last}")
            raise ValueError(f"{shown(part)} runs backwards: write [{', '.join(ends)}]")
        found.update(range(numbers[0], numbers[1] + 1))
    return tuple(DAYS[number] for number in sorted(found))


def _day(word: str, value: object) -> int:
    if word not in DAYS:
        raise ValueError(f"{shown(value)} is no day of the week: {advice(word, DAYS)}")
    return DAYS.index(word)


_DATE_SCHEMA = {"type": "string", "format": "date", "examples": ["2026-12-25"]}
_TIME_SCHEMA = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["19:00"]}
_DAYS_SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "examples": ["mon-fri", ["sat", "sun"]],
}

CronText = Annotated[
    str, PlainValidator(_cron), WithJsonSchema({"type": "string", "examples": ["0 22 * * 1-5", "@daily"]})
]
Zone = Annotated[str, AfterValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/London", "UTC"]})]
Day = Annotated[
    date,
    PlainValidator(_date),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema(_DATE_SCHEMA),
]
TimeOfDay = Annotated[
    time,
    PlainValidator(_time_of_day),
    PlainSerializer(lambda moment: f"{moment:%H:%M}", return_type=str),
    WithJsonSchema(_TIME_SCHEMA),
]
Days = Annotated[
    tuple[str, ...],
    PlainValidator(_days),
    PlainSerializer(list),
    WithJsonSchema(_DAYS_SCHEMA),
]
