"""The parameters that several routes share: names are checked here before anything is done with them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema

from activities.holds import MOST_NOTE

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
_POLICY: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DIGEST: Final = r"^[0-9a-f]{64}$"
_MARK: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""What no line of text holds: control characters, and what would end the line."""
_LINE: Final = rf"^[^{_MARK}]*$"
_CURSOR: Final = r"^[A-Za-z0-9_-]{1,4096}$"

RunName = Annotated[str, Path(pattern=_NAME, description="The run, as the list of runs names it.")]
PolicyName = Annotated[str, Path(pattern=_POLICY, description="The policy, by its name.")]
Digest = Annotated[str, Path(pattern=_DIGEST, description="The plan's digest, all 64 hex digits.")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Sequence = Annotated[int, Path(ge=1, le=2**53 - 1, description="The record's place in the chain.")]

Limit = Annotated[int, Query(ge=1, le=200, description="At most so many.")]
FilesLimit = Annotated[int, Query(ge=1, le=1000, description="At most so many files.")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="Begin behind so many.")]
Cursor = Annotated[str | None, Query(pattern=_CURSOR, description="`next` of the page before.")]
OfPolicy = Annotated[str | None, Query(pattern=_POLICY, description="Only those of this policy.")]
OfRun = Annotated[str | None, Query(pattern=_NAME, description="Only those of this run.")]
OfSite = Annotated[str | None, Query(min_length=1, max_length=200, pattern=_LINE, description="Only this site.")]
Word = Annotated[str | None, Query(min_length=1, max_length=200, pattern=_LINE)]


def _in_utc(moment: datetime) -> datetime:
    """Bring a moment into the years that every part of this product can count, and into UTC."""
    try:
        return min(max(moment.astimezone(UTC), _FIRST), _LAST)
    except OverflowError:
        return _FIRST if moment.year < _FIRST.year else _LAST


_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Since = Annotated[Moment | None, Query(description="From this moment on (RFC 3339, with its zone).")]
Until = Annotated[Moment | None, Query(description="Before this moment (RFC 3339, with its zone).")]


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("say why, for whoever reads the audit")
    return text.strip()


Reason = Annotated[str, Field(max_length=MOST_NOTE, pattern=_LINE, description="Why, for the audit: one line.")]
NeededReason = Annotated[
    str, Field(min_length=1, max_length=MOST_NOTE, pattern=rf"^[^{_MARK}]*[^\s{_MARK}][^{_MARK}]*$"),
    AfterValidator(_said),
]  # fmt: skip
PolicyWord = Annotated[str, Field(pattern=_POLICY)]
DigestWord = Annotated[str, Field(pattern=_DIGEST, description="The plan's digest, all of it.")]
Site = Annotated[str, Field(min_length=1, max_length=200, pattern=_LINE)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


T = TypeVar("T")
Maybe: TypeAlias = T | SkipJsonSchema[None]
"""A value that may be left out; `null` is refused, as everywhere in the policies too."""


class Body(BaseModel):
    """A request's body: what is not known is refused, and so is null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, given: Any) -> Any:
        if isinstance(given, dict):
            empty = ", ".join(str(name)[:80] for name, value in given.items() if value is None)
            if empty:
                raise ValueError(f"leave out what has no value instead of saying null: {empty}")
        return given


def needs_one_of(*names: str, only_one: bool = False) -> JsonDict:
    """Write for a schema that one of these must be there, or exactly one."""
    return {"oneOf" if only_one else "anyOf": [{"required": [name]} for name in names]}


class Answer(BaseModel):
    """An answer; keys are only ever added."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
