"""The words for a job's state: which of them are final, and what many tasks say together."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

SUCCESS = "SUCCESS"
SKIPPED = "SKIPPED"
CANCELLED = "CANCELLED"
#: Our word for a job that the Hub does not know any more.
DELETED = "DELETED"

FINAL_WORDS = frozenset({SUCCESS, "FAILURE", "ERROR", SKIPPED, CANCELLED, "REVOKED", "PARTIAL", DELETED})
#: In the order in which they are asked for.
RUNNING_WORDS = (
    "NEW",
    "PENDING",
    "RECEIVED",
    "STARTED",
    "RETRY",
    "PAUSED",
    "PAUSING",
    "RESUMING",
    "CANCELLING",
    "DEQUEUING",
)
_SAME = {"CANCELED": CANCELLED, "CANCELING": "CANCELLING"}
_reported: set[str] = set()


@dataclass(frozen=True, slots=True)
class JobState:
    """What the Hub says of a job: its upper-case word, whether that is the end, and percent done where it tells."""

    word: str
    final: bool
    progress: float | None = None


def state_of(word: str, progress: float | None = None) -> JobState:
    """Read a state's word; one never seen before is not final and is reported once."""
    plain = word.strip().upper()
    plain = _SAME.get(plain, plain)
    if plain not in FINAL_WORDS and plain not in RUNNING_WORDS and plain not in _reported:
        _reported.add(plain)
        _log.warning("the Hub names a job state that is not known, taken as not final: %a", plain[:60])
    return JobState(plain, plain in FINAL_WORDS, progress)


def combined(words: Iterable[str]) -> JobState:
    """The state of a job from those of its tasks: final when every one is."""
    all_words = {state_of(word).word for word in words}
    open_words = all_words - FINAL_WORDS
    if open_words:
        return JobState(next(iter(open_words)) if len(open_words) == 1 else "STARTED", False)
    if all_words & {CANCELLED, "REVOKED"}:
        return JobState(CANCELLED, True)
    bad = all_words & {"FAILURE", "ERROR"}
    if "PARTIAL" in all_words or (bad and all_words - bad):
        return JobState("PARTIAL", True)
    if bad:
        return JobState("FAILURE", True)
    return JobState(SKIPPED if all_words == {SKIPPED} else SUCCESS, True)
