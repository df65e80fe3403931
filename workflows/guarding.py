"""Guards: what the whole plan of a run must stay under."""

from typing import Annotated, Literal

from pydantic import Field

from workflows.fields import Count, Duration, Percent, SomeBytes
from workflows.payload import Payload

__all__ = ["Guards", "Unusual"]


class Unusual(Payload):
    """How far a plan may be above what the last runs planned."""

    factor: Annotated[float, Field(gt=1, le=1_000_000, description="So many times their median, in files or bytes.")]
    runs: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(
        10, description="So many of the last runs are looked at; with fewer than three nothing is unusual."
    )


class Guards(Payload):
    """What the whole plan must stay under before anything moves."""

    max_files: Count | None = Field(None, description="At most so many files in a plan.")
    max_bytes: SomeBytes | None = Field(None, description="At most so many bytes in a plan.")
    max_percent_of_scope: Percent | None = Field(
        None, description="At most this share of the files, and of the bytes, that the inventory holds."
    )
    unusual: Unusual | None = Field(None, description="A plan far larger than those of the last runs.")
    on_exceed: Literal["refuse", "truncate", "ask"] = Field(
        "refuse",
        description="A plan over a guard: refuse the run, take only the first files that fit, or wait for approval.",
    )
    inventory_max_age: Duration | None = Field(None, description="The oldest inventory that a plan may be made from.")
