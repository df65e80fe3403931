"""What a policy says about trouble: files that fail, files that keep failing, and when to stop altogether."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator

from workflows.fields import Count, Duration, DurationOrNone, Percent, Wait
from workflows.payload import Payload
from workflows.units import Mistake, Mistakes

__all__ = ["Breaker", "FailedReason", "Quarantine", "Retry", "RetryFailedFiles", "StopAt"]

FailedReason = Literal[
    "permission_denied", "no_such_file", "checksum", "target_error", "hub_error", "timeout", "aborted", "unknown"
]


class RetryFailedFiles(Payload):
    """The ladder that failed files climb: how often each is tried, and the waits between."""

    attempts: Annotated[
        int, Strict(), Field(ge=1, le=100, description="How often a file is tried, the first time included.")
    ] = 3
    wait: tuple[Wait, ...] = Field(
        (timedelta(minutes=1), timedelta(minutes=5)), description="The waits between tries; the last one repeats."
    )

    @model_validator(mode="after")
    def _has_rungs(self) -> "RetryFailedFiles":
        if self.attempts > 1 and not self.wait:
            raise Mistakes([Mistake(("wait",), f"{self.attempts} attempts need a wait: write one, such as [1m]")])
        return self


class Quarantine(Payload):
    """Files that keep failing are set aside: listed, left alone for a while, not counted as errors."""

    after: Count = Field(5, description="After so many failed tries in a row, over all runs.")
    until: Duration = Field(timedelta(days=14), alias="for", description="How long such a file is left alone.")


class Retry(Payload):
    """What happens to files that failed."""

    failed_files: RetryFailedFiles = Field(RetryFailedFiles(), description="The ladder that failed files climb.")
    resubmit: Literal["failed_files", "job"] = Field(
        "failed_files", description="Send failed files in a new job, or use the Hub's own resubmit of the job."
    )
    permanent: tuple[FailedReason, ...] = Field(
        ("no_such_file", "permission_denied"), description="Reasons of failure that are never tried again."
    )
    quarantine: Quarantine | None = Field(None, description="Files that keep failing are set aside.")

    @model_validator(mode="after")
    def _fits_together(self) -> "Retry":
        if self.quarantine is not None and self.resubmit == "job":
            why = "with `quarantine` only failed files can be sent again: the Hub would resubmit what is set aside"
            raise Mistakes([Mistake(("resubmit",), why)])
        return self


def _with_sign(value: object) -> object:
    """The key says what it counts, so 20 does as well as 20%."""
    return f"{value}%" if isinstance(value, int | float) and not isinstance(value, bool) else value


class StopAt(Payload):
    """How much may fail before a run stops sending."""

    percent: Annotated[Percent | None, BeforeValidator(_with_sign)] = Field(
        None, description="At this share of failed files."
    )
    after_files: Count = Field(100, description="The share counts only when so many files have ended.")
    consecutive_jobs: Count | None = Field(None, description="After so many failed jobs in a row.")

    @model_validator(mode="after")
    def _stops(self) -> "StopAt":
        if self.percent is None and self.consecutive_jobs is None:
            raise ValueError("expects a mark, such as {percent: 20%} or {consecutive_jobs: 5}")
        return self


class Breaker(Payload):
    """Stops sending when too much fails."""

    stop_at: StopAt = Field(
        StopAt(percent=20, consecutive_jobs=5),
        description="How much may fail before nothing more is sent.",
    )
    then: Literal["pause", "stop"] = Field("pause", description="Pause until a person resumes, or end the run.")
    probe: DurationOrNone = Field(
        timedelta(minutes=15), description="How long until one batch is tried again by itself; none waits for a person."
    )
