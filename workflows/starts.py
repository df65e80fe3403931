"""A start: the wish of a trigger or a person that a policy runs, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from workflows.payload import Payload
from workflows.run import RunRequest

Overlap = Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"]


class Cause(Payload):
    """Why a run is wished for: the kind of trigger and its words; `scheduled` is the time a schedule meant."""

    kind: Literal["schedule", "backfill", "threshold", "event", "after", "manual"]
    text: str
    scheduled: datetime | None = None


class Wish(Payload):
    """Somebody wants a policy to run; told twice under one key it starts once. `wish_for` makes one.

    What a desk decides by stands beside the request, which travels as text and is read when its run begins: hundreds
    of wishes may come at once, and to read as many policies in one go takes longer than a workflow may think. The
    request names its run already, or leaves that to the desk.
    """

    key: str
    policy: str
    site: str
    priority: int
    labels: dict[str, str]
    version: int | None
    actor: str
    run: str
    request: str
    cause: Cause
    overlap: Overlap

    def read_request(self) -> RunRequest:
        """Read the request."""
        return RunRequest.model_validate_json(self.request)


def wish_for(*, key: str, request: RunRequest, cause: Cause, overlap: Overlap = "queue_one") -> Wish:
    """Make a wish of a request."""
    policy = request.policy
    return Wish(
        key=key,
        policy=policy.name,
        site=policy.one_site,
        priority=policy.run.priority,
        labels=policy.labels,
        version=request.version,
        actor=request.actor,
        run=request.run,
        request=request.model_dump_json(),
        cause=cause,
        overlap=overlap,
    )


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
    """What a desk hands to itself when it goes on with a fresh history; `queue` is its installation's task queue."""

    site: str
    queue: str
    open: tuple[OpenRun, ...] = ()
    arrived: tuple[Wish, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    answers: tuple[Start, ...] = ()


class DeskStatus(Payload):
    """What runs at a site by the desk's book, and what waits for its turn, the next one first."""

    site: str
    open: tuple[OpenRun, ...]
    waiting: tuple[Waiting, ...]
