"""The parameters that several routes share: names are checked here before anything is done with them."""

from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from activities.holds import MOST_NOTE

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"
_POLICY: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DIGEST: Final = r"^[0-9a-f]{64}$"
_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
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
Since = Annotated[AwareDatetime | None, Query(description="From this moment on (RFC 3339, with its zone).")]
Until = Annotated[AwareDatetime | None, Query(description="Before this moment (RFC 3339, with its zone).")]


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("say why, for whoever reads the audit")
    return text.strip()


Reason = Annotated[str, Field(max_length=MOST_NOTE, pattern=_LINE, description="Why, for the audit: one line.")]
NeededReason = Annotated[
    str, Field(min_length=1, max_length=MOST_NOTE, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"),
    AfterValidator(_said),
]  # fmt: skip
PolicyWord = Annotated[str, Field(pattern=_POLICY)]
DigestWord = Annotated[str, Field(pattern=_DIGEST, description="The plan's digest, all of it.")]
Site = Annotated[str, Field(min_length=1, max_length=200, pattern=_LINE)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


class Body(BaseModel):
    """A request's body: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer; keys are only ever added."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
