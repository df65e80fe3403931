"""What the audit tells of one run, read once from its first record to its last; memory does not grow with the run."""

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from orchestrator.reporting.history import seconds

MOST_BINS = 240
SLOWEST = 10
MOST_CHANGES = 1000
"""Of more changes the first ones are left out, and counted."""

_PAGE = 5000
_APPROVALS = (
    Event.APPROVAL_WANTED,
    Event.APPROVAL_EXPIRED,
    Event.PLAN_APPROVED,
    Event.PLAN_REJECTED,
)
_NO_CHANGE = (
    Event.RUN_STARTED,
    Event.RUN_PREFLIGHT,
    Event.PLAN_MADE,
    Event.ROUND_STARTED,
    Event.FILES_SKIPPED,
    Event.FILES_VERIFIED,
    Event.JOB_SUBMITTED,
    Event.JOB_ADOPTED,
    Event.JOB_ENDED,
    Event.RUN_ENDED,
    Event.START_WISHED,
    Event.START_BEGUN,
    *_APPROVALS,
)


@dataclass(frozen=True)
class JobTime:
    """A job and how long it lasted, in seconds from its submission to its settled end."""

    took: float
    job: int
    batch: int
    round: int
    files: int
    bytes: int
    state: str


class Throughput:
    """Files and bytes that were done, in bins of equal length that grow as the run does."""

    def __init__(self, width: float = 1.0) -> None:
        self.width = width
        self.start: float | None = None
        self._bins: dict[int, list[int]] = {}
        self._low, self._high = 0, 0

    def add(self, at: float, files: int, size: int, failed: int) -> None:
        """Count what ended at a moment; moments may come in any order."""
        if self.start is None:
            self.start = at
        index = int((at - self.start) // self.width)
        counts = self._bins.setdefault(index, [0, 0, 0])
        for place, count in enumerate((files, size, failed)):
            counts[place] += count
        self._low, self._high = min(self._low, index), max(self._high, index)
        while self._high - self._low >= MOST_BINS:
            self._widen()

    def bins(self) -> list[tuple[float, int, int, int]]:
        """Give start, files, bytes and failed files of every bin, the empty ones between them included."""
        if self.start is None:
            return []
        indices = range(self._low, self._high + 1)
        return [(self.start + index * self.width, *self._counts(index)) for index in indices]

    def _counts(self, index: int) -> tuple[int, int, int]:
        files, size, failed = self._bins.get(index, (0, 0, 0))
        return files, size, failed

    def _widen(self) -> None:
        merged: dict[int, list[int]] = {}
        for index, counts in self._bins.items():
            into = merged.setdefault(index // 2, [0, 0, 0])
            for place, count in enumerate(counts):
                into[place] += count
        self._bins, self.width = merged, self.width * 2
        self._low, self._high = self._low // 2, self._high // 2


@dataclass
class Story:
    """A run as its records tell it."""

    run: str
    started: Stored | None = None
    plan: dict[str, Any] | None = None
    ended: Stored | None = None
    approvals: list[Stored] = field(default_factory=list)
    changes: deque[Stored] = field(default_factory=lambda: deque(maxlen=MOST_CHANGES))
    changes_in_all: int = 0
    rounds: list[Stored] = field(default_factory=list)
    throughput: Throughput = field(default_factory=Throughput)
    jobs: int = 0
    job_states: Counter[str] = field(default_factory=Counter)
    first: Stored | None = None
    last: Stored | None = None
    records: int = 0
    _slowest: list[tuple[float, int, JobTime]] = field(default_factory=list)
    _open: dict[int, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    @property
    def slowest(self) -> list[JobTime]:
        """The jobs that lasted longest, the longest first."""
        return [job for _, _, job in sorted(self._slowest, reverse=True)]

    def take(self, record: Stored) -> None:
        """Take the next record."""
        self.first, self.last, self.records = self.first or record, record, self.records + 1
        event, body = record.event, record.body
        if event == Event.RUN_STARTED:
            self.started = record
        elif event == Event.PLAN_MADE:
            self.plan = body
        elif event == Event.RUN_ENDED:
            self.ended = record
        elif event == Event.ROUND_STARTED:
            self.rounds.append(record)
        elif event in (Event.JOB_SUBMITTED, Event.JOB_ADOPTED):
            self._open.setdefault(body["job"], (seconds(record.at), body))
        elif event == Event.JOB_ENDED:
            self._end(record)
        elif event in _APPROVALS:
            self.approvals.append(record)
        elif event not in _NO_CHANGE:
            self.changes.append(record)
            self.changes_in_all += 1

    def _end(self, record: Stored) -> None:
        at, body, counts = seconds(record.at), record.body, record.body["counts"]
        self.jobs += 1
        self.job_states[str(body["state"])] += 1
        self.throughput.add(at, counts["done"], counts["bytes_done"], sum(counts["failed"].values()))
        began = self._open.pop(body["job"], None)
        if began is None:
            return
        took = at - began[0]
        job = JobTime(
            took=took,
            job=body["job"],
            batch=body["batch"],
            round=body["round"],
            files=body["files"],
            bytes=began[1]["bytes"],
            state=str(body["state"]),
        )
        heapq.heappush(self._slowest, (took, body["job"], job))
        if len(self._slowest) > SLOWEST:
            heapq.heappop(self._slowest)


def read_story(log: AuditLog, run: str) -> Story:
    """Read what the audit tells of a run; it is empty where there is no such run."""
    story, after = Story(run), 0
    while records := log.records(run=run, after=after, limit=_PAGE):
        for record in records:
            story.take(record)
        after = records[-1].seq
    return story
