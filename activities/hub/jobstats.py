"""How each path of a job ended, as the Hub tells it."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from activities.errors import Refused
from activities.hub.client import Hub
from activities.hub.paging import Page

#: Words for a path that was done; any other word is an exception.
DONE_WORDS = ("processed", "success")
_DONE = frozenset({"processed", "success", "succeeded", "done", "completed", "ok"})
#: Words that are asked for when only exceptions are wanted.
EXCEPTION_WORDS = ("skipped", "failed", "aborted", "cancelled", "failure", "error")


@dataclass(frozen=True, slots=True)
class PathOutcome:
    """How one path ended: its exact name, the Hub's lower-case word, code and message."""

    path: str
    state: str
    code: str
    message: str

    @property
    def done(self) -> bool:
        """Whether the Hub did what was asked for."""
        return self.state in _DONE


async def everything(hub: Hub, job: int) -> AsyncIterator[PathOutcome]:
    """How every path of a job ended, as far as the Hub knows."""
    async for outcome in _listed(hub, job, None):
        yield outcome


async def exceptions(hub: Hub, job: int) -> AsyncIterator[PathOutcome]:
    """Only the paths that were not done.

    Lets the Hub filter when its counts prove that it does so completely; else reads all and filters here.
    """
    states: Iterable[str] | None = EXCEPTION_WORDS
    try:
        total, done, rest = [await count(hub, job, words) for words in (None, DONE_WORDS, EXCEPTION_WORDS)]
    except Refused:
        total, done, rest = None, None, None
    if total is None or done is None or rest is None or done + rest != total:
        states = None
    elif rest == 0:
        return
    async for outcome in _listed(hub, job, states):
        if not outcome.done:
            yield outcome


async def count(hub: Hub, job: int, state: str | Iterable[str] | None = None) -> int | None:
    """How many paths of a job the Hub counts, in one or several states; None when it does not tell."""
    async for page in hub.pages("/jobstats/", {"job": job, "state": state}, page_size=20):
        return page.count if page.count is not None else (len(page.records()) if page.next is None else None)
    return None


async def _listed(hub: Hub, job: int, states: Iterable[str] | None) -> AsyncIterator[PathOutcome]:
    async for page in hub.pages("/jobstats/", {"job": job, "state": states}):
        for outcome in outcomes(page, job):
            yield outcome


def outcomes(page: Page, job: int) -> list[PathOutcome]:
    """The outcomes on one page; a row without a path, or of another job, is left out."""
    found = []
    for row in page.records():
        path = row.get("path") if isinstance(row, dict) else None
        if isinstance(path, str) and path and str(row.get("job", job)).rstrip("/").rpartition("/")[2] == str(job):
            found.append(PathOutcome(path, _word(row.get("state")), _text(row.get("code")), _text(row.get("message"))))
    return found


def _word(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) and value.strip() else "unknown"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
