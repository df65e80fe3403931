"""A notice: one thing that somebody is told, its kind and how urgent it is."""

from datetime import datetime
from enum import StrEnum

from workflows.payload import Payload


class Kind(StrEnum):
    """What a notice is about: the words of `notify` in a policy, and two that only the settings route."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PAUSED = "paused"
    REFUSED = "refused"
    APPROVAL = "approval"
    CRITICAL = "critical"
    LATE = "late"
    DIGEST = "digest"
    TEST = "test"


class Urgency(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    URGENT = "urgent"


class Notice(Payload):
    """One thing to tell; `key` names it for ever, and notices of one `group` are told together.

    `html` stands instead of `text` where a target can show it. `about` names the target that a notice is about, which
    is not told of itself.
    """

    key: str
    kind: Kind
    urgency: Urgency
    group: str
    title: str
    text: str
    at: datetime
    policy: str | None = None
    run: str | None = None
    html: str | None = None
    about: str | None = None
