"""Where a run stands at one moment: arithmetic on counts and clocks."""

from datetime import datetime

from workflows.payload import Payload
from workflows.plan import OutcomeCounts
from workflows.run import Flight, RunState, RunStatus, SegmentStatus, StageState


class FlightProgress(Flight):
    """A batch in flight with what its watcher last heard; `trouble` is why it does not hear more."""

    word: str | None = None
    progress: float | None = None
    trouble: str | None = None


class RunProgress(Payload):
    """The status of a run with the live counts of its open segments; `begun` are batches of the current round."""

    status: RunStatus
    state: RunState
    waits_for: str | None
    counts: OutcomeCounts
    files: int
    bytes: int
    files_per_second: float | None
    bytes_per_second: float | None
    in_flight: tuple[FlightProgress, ...]
    jobs: int
    begun: int = 0

    @property
    def settled(self) -> int:
        """The files that need nothing more in this stage; a failed one may be tried again while the run is open."""
        failed = 0 if self.state.final else sum(self.counts.failed.values())
        return min(self.counts.total - failed, self.files)

    @property
    def share(self) -> float:
        """The part of the whole run that is done, 0 to 1: each stage with a hub workflow counts the same."""
        if not self.files:
            return 0.0
        stages = [one for one in self.status.stages if one.works and one.state is not StageState.SKIPPED]
        if self.state.final or not stages:
            return self.settled / self.files
        ended = sum(one.state is StageState.ENDED for one in stages)
        # Between two stages the counts are still those of the one before.
        on = any(one.state is StageState.WORKING for one in stages)
        return min(1.0, (ended + (self.settled / self.files if on else 0.0)) / len(stages))


def combine(
    status: RunStatus,
    segments: tuple[SegmentStatus, ...],
    flights: tuple[FlightProgress, ...],
    now: datetime,
    trouble: str | None = None,
    begun: int = 0,
) -> RunProgress:
    """Add up what the run and its open segments say at one moment; `trouble` is what keeps the run's own step."""
    counts = status.counts
    for segment in segments:
        counts = counts.plus(segment.counts)
    end = status.finished or now
    worked = (end - status.work_started).total_seconds() if status.work_started else 0.0
    files = status.plan.files if status.plan else 0
    rate = counts.total / worked if worked > 0 and counts.total else None
    return RunProgress(
        status=status,
        state=status.state,
        waits_for=status.waits_for or trouble or _first_trouble(flights) or _first_wait(segments),
        counts=counts,
        files=files,
        bytes=status.plan.bytes if status.plan else 0,
        files_per_second=rate,
        bytes_per_second=counts.bytes_done / worked if worked > 0 else None,
        in_flight=flights,
        jobs=status.jobs + sum(1 for flight in flights if flight.job is not None),
        begun=begun,
    )


def _first_wait(segments: tuple[SegmentStatus, ...]) -> str | None:
    return next((segment.waits_for for segment in segments if segment.waits_for), None)


def _first_trouble(flights: tuple[FlightProgress, ...]) -> str | None:
    paused = next((flight for flight in flights if flight.word in ("PAUSED", "PAUSING")), None)
    if paused is not None:
        return f"Hub job {paused.job}, which is paused in the Hub"
    return next((flight.trouble for flight in flights if flight.trouble), None)
