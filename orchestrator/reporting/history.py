"""The latest jobs of a run out of the audit, read on from where the last look ended; its memory is bounded."""

from collections import deque
from datetime import datetime

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from orchestrator.reporting.clock import Span
from orchestrator.reporting.eta import MOST, PastJob

FAILED_BATCHES = 20
"""Of so many of the latest batches with failures of one reason the messages are looked at while a run is open."""

_IN_FLIGHT = 1000
_PAGE = 5000


class JobHistory:
    """What the audit tells of a run's jobs and pauses; `refresh` reads what is new."""

    def __init__(self, log: AuditLog, run: str) -> None:
        self.jobs: deque[PastJob] = deque(maxlen=MOST)
        self._failed: dict[str, deque[tuple[int, int]]] = {}
        self.pauses: list[Span] = []
        self.waited_for_approval = 0.0
        self._log = log
        self._run = run
        self._after: int | None = None
        self._submitted: dict[int, float] = {}
        self._paused: float | None = None
        self._asked: float | None = None

    def refresh(self) -> bool:
        """Read what was written since; tells whether a job ended."""
        if self._after is None:
            records = self._latest()
        else:
            records = self._log.records(run=self._run, after=self._after, limit=_PAGE)
        ended = False
        while records:
            for record in records:
                ended |= self._note(record)
            first, self._after = self._after is None, records[-1].seq
            records = self._log.records(run=self._run, after=self._after, limit=_PAGE)
            ended |= first
        return ended

    @property
    def failed(self) -> tuple[tuple[int, int], ...]:
        """Round and number of batches with failures, the latest of each reason."""
        return tuple(sorted({place for places in self._failed.values() for place in places}))

    @property
    def closed(self) -> list[Span]:
        """When the run was paused."""
        return [*self.pauses] if self._paused is None else [*self.pauses, (self._paused, float("inf"))]

    def _latest(self) -> list[Stored]:
        limits = {
            Event.JOB_ENDED: MOST,
            Event.JOB_SUBMITTED: MOST + _IN_FLIGHT,
            Event.JOB_ADOPTED: MOST + _IN_FLIGHT,
            Event.RUN_PAUSED: 100,
            Event.RUN_RESUMED: 100,
            Event.APPROVAL_WANTED: 20,
            Event.PLAN_APPROVED: 20,
        }
        found: list[Stored] = []
        for event, limit in limits.items():
            found += self._log.records(run=self._run, event=event, limit=limit, newest=True)
        return sorted(found, key=lambda record: record.seq)

    def _note(self, record: Stored) -> bool:
        at, body = seconds(record.at), record.body
        if record.event in (Event.JOB_SUBMITTED, Event.JOB_ADOPTED):
            self._submitted.setdefault(body["job"], at)
        elif record.event == Event.JOB_ENDED:
            return self._end(at, body)
        elif record.event == Event.RUN_PAUSED:
            self._paused = self._paused or at
        elif record.event == Event.RUN_RESUMED and self._paused is not None and not body.get("still"):
            self.pauses.append((self._paused, at))
            self._paused = None
        elif record.event == Event.APPROVAL_WANTED:
            self._asked = at
        elif record.event == Event.PLAN_APPROVED and self._asked is not None:
            self.waited_for_approval += at - self._asked
            self._asked = None
        return False

    def _end(self, at: float, body: dict[str, object]) -> bool:
        job, counts = body["job"], body["counts"]
        assert isinstance(job, int) and isinstance(counts, dict)
        began = self._submitted.pop(job, None)
        for reason in counts["failed"]:
            places = self._failed.setdefault(reason, deque(maxlen=FAILED_BATCHES))
            places.append((_number(body["round"]), _number(body["batch"])))
        if began is None:
            return False
        self.jobs.append(PastJob(began, at, _number(body["files"]), counts["bytes_done"], _number(body["round"])))
        return True


def seconds(at: str) -> float:
    """Give the moment of a record in seconds since the epoch."""
    return datetime.fromisoformat(at).timestamp()


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
