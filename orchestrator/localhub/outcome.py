"""How one path of a job ended, and the codes that say why."""

from dataclasses import dataclass
from enum import StrEnum


class PathState(StrEnum):
    """Where one path of a job stands; `discovered` is a folder that gave its files to the job."""

    PENDING = "pending"
    PROCESSED = "processed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    DISCOVERED = "discovered"


ENDED = (PathState.PROCESSED, PathState.SKIPPED, PathState.FAILED, PathState.ABORTED, PathState.CANCELLED)


@dataclass(frozen=True)
class PathRow:
    """One path of a job: its row number and its name as the client gave it."""

    id: int
    job: int
    path: bytes


@dataclass(frozen=True)
class Outcome:
    """The end of one path; `fault` names the rule that made it fail, if one did."""

    state: PathState
    code: str = ""
    message: str = ""
    bytes: int = 0
    fault: str | None = None


class Ended(Exception):
    """Carries an outcome out of the steps that were meant to lead to another."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def failed(code: str, message: str) -> Ended:
    """End a path as failed."""
    return Ended(Outcome(PathState.FAILED, code, message))


def skipped(code: str, message: str) -> Ended:
    """End a path as skipped."""
    return Ended(Outcome(PathState.SKIPPED, code, message))
