"""Approval: whether a plan needs a person's word before anything moves, and what that person must be."""

import re
from datetime import timedelta
from typing import Final, Literal

from pydantic import Field

from workflows.fields import Count, Duration, Flag, Percent, SomeBytes
from workflows.payload import Payload

__all__ = ["Approval", "Auto", "is_destructive"]

_DESTRUCTIVE: Final = frozenset(
    {"delete", "remove", "purge", "erase", "destroy", "expire", "shred", "trim", "unlink", "wipe", "prune", "clean"}
)


class Auto(Payload):
    """Bounds inside which the policy approves its own plan; each that is given must hold."""

    max_files: Count | None = Field(None, description="At most so many files.")
    max_bytes: SomeBytes | None = Field(None, description="At most so many bytes.")
    max_percent_of_scope: Percent | None = Field(None, description="At most this share of what the inventory holds.")


class Approval(Payload):
    """A person agrees to exactly this plan, by its digest."""

    required: Literal["always", "when_destructive", "never"] = Field(
        "when_destructive", description="When a plan waits for approval; destructive is a hub workflow that deletes."
    )
    expires: Duration = Field(timedelta(hours=24), description="A plan that nobody approved for so long has expired.")
    not_by_owner: Flag = Field(False, description="Four eyes: whoever started the run may not approve it.")
    auto: Auto | None = Field(None, description="A plan inside these bounds is approved by the policy itself.")


def is_destructive(workflow: str) -> bool:
    """Tell by the name of a hub workflow whether it deletes data; the Hub does not say it otherwise."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", workflow).lower())
    return not _DESTRUCTIVE.isdisjoint(words)
