"""How many jobs a run has in flight: a number, or bounds between which it finds its own."""

from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from workflows.adapting import Between
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes, advice, shown

MOST = 1000
_KEYS = ("min", "max")
_EXAMPLE = "expects a whole number such as 4, or bounds such as {min: 2, max: 32}"


class Adaptive(Payload):
    """The bounds of a concurrency that the run adapts itself."""

    min: int = Field(1, description="Jobs in flight that it begins with, and never goes below.")
    max: int = Field(description="Jobs in flight that it never goes beyond.")


def _read(value: object) -> int | Adaptive:
    if isinstance(value, Adaptive):
        return value
    if isinstance(value, dict):
        found = list(_mistakes(value))
        if found:
            raise Mistakes(found)
        return Adaptive(**value)
    if (why := _wrong(value)) is not None:
        raise ValueError(why)
    assert isinstance(value, int)
    return value


def _mistakes(value: dict[Any, Any]) -> list[Mistake]:
    found = [
        Mistake((key,), f"unknown key {shown(key)}: {advice(str(key), _KEYS)}", at_key=True)
        for key in value
        if key not in _KEYS
    ]
    if "max" not in value and found:
        return found  # It may be misspelt.
    if "max" not in value:
        return [Mistake((), "`max` is missing: jobs in flight that it never goes beyond")]
    found += [Mistake((key,), why) for key in _KEYS if key in value and (why := _wrong(value[key])) is not None]
    if not found and value.get("min", 1) >= value["max"]:
        found.append(Mistake(("max",), f"`max` must be above `min` ({value.get('min', 1)}): or write one number"))
    return found


def _wrong(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        quotes = ": write it without quotes" if isinstance(value, str) and value.isdecimal() else ""
        return f"{_EXAMPLE}, found {shown(value)}{quotes}"
    if value < 1:
        return f"expects at least 1, found {shown(value)}"
    return f"expects at most {MOST}, found {shown(value)}" if value > MOST else None


_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST}
_BOUNDS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["max"],
    "properties": {name: {**_COUNT, "description": field.description} for name, field in Adaptive.model_fields.items()},
}
_BOUNDS["properties"]["min"]["default"] = 1

Concurrency = Annotated[
    int | Adaptive,
    PlainValidator(_read),
    PlainSerializer(lambda value: value if isinstance(value, int) else value.model_dump()),
    WithJsonSchema({"anyOf": [_COUNT, _BOUNDS]}),
]


def slots_of(concurrency: int | Adaptive) -> int:
    """Give the jobs in flight that a run begins with."""
    return concurrency if isinstance(concurrency, int) else concurrency.min


def bounds_of(concurrency: int | Adaptive) -> Between | None:
    """Give the bounds between which the run adapts it; None when it is a number."""
    if isinstance(concurrency, int):
        return None
    return Between(least=concurrency.min, most=concurrency.max)
