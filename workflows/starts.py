"""A start: the wish of a trigger or a person that a policy runs, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from workflows.payload import Payload
from workflows.run import RunRequest

Overlap = Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"]

MOST_REMEMBERED = 500
"""So many of the last answers a desk can still give; all of them are in the audit."""


class Cause(Payload):
    """Why a run is wished for: the kind of trigger and its words; `scheduled` is the time a schedule meant."""

    kind: Literal["schedule", "backfill", "threshold", "event", "after", "manual"]
    text: str
    scheduled: datetime | None = None


class Wish(Payload):
    """Somebody wants a policy to run; told twice under one key it starts once.

    The request names its run already, or leaves that to the desk.
    """

    key: str
    request: RunRequest
    cause: Cause
    overlap: Overlap = "queue_one"

    @property
    def policy(self) -> str:
        """The policy's name."""
        return self.request.policy.name

    @property
    def site(self) -> str:
        """The site of its run."""
        return self.request.policy.one_site

    @property
    def priority(self) -> int:
        """1 begins first, 5 last."""
        return self.request.policy.run.priority


class StartState(StrEnum):
    """What became of a wish."""

    BEGUN = "begun"
    QUEUED = "queued"
    SKIPPED = "skipped"


class Start(Payload):
    """What became of a wish, and why; `run` is missing until it has begun, unless the wish named it."""

    key: str
    state: StartState
    run: str | None = None
    why: str = ""


class Waiting(Payload):
    """A wish that waits for its turn."""

    wish: Wish
    since: datetime
    why: str


class OpenRun(Payload):
    """A run that the desk began and whose end it has not seen yet."""

    run: str
    policy: str
    since: datetime


class DeskState(Payload):
    """What a desk hands to itself when it goes on with a fresh history."""

    site: str
    open: tuple[OpenRun, ...] = ()
    arrived: tuple[Wish, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    answers: tuple[Start, ...] = ()


class DeskStatus(Payload):
    """What runs at a site by the desk's book, and what waits for its turn, the next one first."""

    site: str
    open: tuple[OpenRun, ...]
    waiting: tuple[Waiting, ...]
