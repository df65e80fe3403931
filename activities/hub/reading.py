"""Models of the Hub's answers: tolerant of what is new, missing or written otherwise, clear about what is wrong."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from activities.errors import ContractError

M = TypeVar("M", bound=BaseModel)


class Record(BaseModel):
    """One thing that the Hub tells about: unknown fields are left out, numbers and texts may stand for each other."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True, populate_by_name=True
    )


def read(model: type[M], record: Any, operation: str) -> M:
    """Read one record. Raises ContractError naming operation and field, never the value."""
    try:
        return model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "(the whole)"
        problem = ContractError(f"{operation}: field {field!r}: {first['msg']}", operation=operation)
    raise problem


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _whole(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+(\.\d+)?([eE]\+?\d+)?\s*", value):
        value = float(value) if any(char in value for char in ".eE") else int(value)
    if isinstance(value, float) and value == value and abs(value) < 2**63:
        return round(value)
    return value


def _named(value: Any) -> Any:
    """A reference may be a name, a number, or an object that holds its name."""
    if isinstance(value, dict):
        return next((value[key] for key in ("name", "label", "id") if value.get(key) is not None), None)
    return value


#: A moment in UTC: ISO 8601 with or without a zone (then UTC), or seconds (or milliseconds) since the epoch.
Moment = Annotated[datetime, AfterValidator(_utc)]
#: The same, or nothing: null, missing or an empty text.
MaybeMoment = Annotated[Moment | None, BeforeValidator(_blank_is_none)]
#: A whole number, also as text or with a fraction.
Whole = Annotated[int, BeforeValidator(_whole)]
MaybeWhole = Annotated[Whole | None, BeforeValidator(_blank_is_none)]
#: The name of another thing, however the Hub refers to it.
Reference = Annotated[str | None, BeforeValidator(_named)]
