"""Simulated campaigns: slots that work through batches on a clock with windows, as records of it."""

import heapq
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.reporting.clock import Clock
from orchestrator.reporting.eta import PastJob, Rest

START = datetime(2026, 3, 23, 18, 0, tzinfo=UTC).timestamp()


@dataclass
class Campaign:
    """Batches whose jobs last `mean` seconds, more or less by `noise` (its coefficient of variation)."""

    seed: int
    batches: int
    slots: int
    mean: float
    noise: float
    clock: Clock = field(default_factory=Clock)
    waves: float = 0.0
    spacing: float = 0.0
    jobs: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Run it to its end; a job that began goes on when its window closes."""
        chance = random.Random(self.seed)
        free = [START] * self.slots
        heapq.heapify(free)
        wave, begins = 1.0, -1e18
        shape = 1 / self.noise**2 if self.noise else 0.0
        for _ in range(self.batches):
            at = max(heapq.heappop(free) + chance.uniform(0.0, 0.05) * self.mean, begins + self.spacing)
            begins = at = self._open(at)
            wave = 1 + 0.9 * (wave - 1) + self.waves * chance.gauss(0, 1)
            lasts = self.mean * max(wave, 0.2) * (chance.gammavariate(shape, 1 / shape) if shape else 1.0)
            submitted = at + 0.01 * self.mean
            self.jobs.append((at, submitted, submitted + lasts))
            heapq.heappush(free, submitted + lasts)

    @property
    def end(self) -> float:
        """When its last job ended."""
        return max(ended for _, _, ended in self.jobs)

    def at_share(self, share: float) -> float:
        """The moment at which so much of it has ended."""
        return sorted(ended for _, _, ended in self.jobs)[max(0, int(share * self.batches) - 1)] + 1e-6

    def seen(self, now: float) -> tuple[list[PastJob], Rest]:
        """What one knows of it at a moment."""
        past = [PastJob(sent, ended) for _, sent, ended in self.jobs if ended <= now]
        ages = tuple(now - began for began, _, ended in self.jobs if began <= now < ended)
        waiting = sum(1 for began, _, _ in self.jobs if began > now)
        return past, Rest(now, self.slots, ages, waiting, spacing=self.spacing)

    def _open(self, at: float) -> float:
        return next((max(at, opens) for opens, closes in self.clock.spans if at < closes), at)
