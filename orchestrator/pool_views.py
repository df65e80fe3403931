"""The pools as people look at them: level, marks, state, trend, and when a mark will be reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from activities.forecast import FALL, Trend, trend
from activities.pool_samples import PoolSamples
from orchestrator.settings import Settings
from workflows.pool_control import share
from workflows.pools import Level, PoolRef, PoolState, WatchStatus

TREND_OVER = timedelta(days=7)
"""The trend is that of so many days, or since the last drain."""


@dataclass(frozen=True)
class PoolView:
    """One pool; without a watcher it has no marks and no state."""

    ref: PoolRef
    level: Level | None
    trend: Trend | None
    status: WatchStatus | None
    run_waits_for: str | None = None

    @property
    def upper(self) -> float | None:
        """The lowest level at which something starts."""
        return min((e.threshold.upper for e in self.status.entries), default=None) if self.status else None

    @property
    def lower(self) -> float | None:
        """The level that a drain goes down to, of the policy that acts first."""
        return self.status.entries[0].threshold.lower if self.status and self.status.entries else None

    @property
    def state(self) -> PoolState | None:
        """Where it is."""
        return self.status.state if self.status else None

    @property
    def waits(self) -> str | None:
        """Say what it waits for; None for nothing."""
        status = self.status
        if status is None:
            return None
        if status.book.blocked is not None:
            return f"blocked: {status.book.blocked.why}"
        if status.run is not None and self.run_waits_for:
            return f"run {status.run} waits for {self.run_waits_for}"
        if status.waits_for:
            return (f"run {status.run} " if status.run is not None else "") + f"waits: {status.waits_for}"
        return None

    def time_to(self, percent: float | None) -> tuple[timedelta | None, timedelta | None, timedelta | None]:
        """Give the time until a mark is reached, and its earliest and latest; None is unknown or never."""
        if self.level is None or percent is None:
            return (None, None, None)
        if self.level.reaches(percent):
            return (timedelta(0), timedelta(0), timedelta(0))
        if self.trend is None:
            return (None, None, None)
        target = share(percent, self.level.capacity)
        return (self.trend.time_to(target), *self.trend.range_to(target))


def pool_views(
    settings: Settings, statuses: list[WatchStatus], run_waits_for: Mapping[str, str] | None = None
) -> list[PoolView]:
    """Put together what the watchers say and what was measured; pools that nobody watches are in it too."""
    waits = run_waits_for or {}
    samples = PoolSamples(settings.samples.get_secret_value())
    try:
        measured = samples.pools()
        views, seen = [], set()
        for status in statuses:
            ref = _of(status.ref, measured)
            seen.add(ref)
            views.append(replace(_view(ref, status, samples), run_waits_for=waits.get(status.run or "")))
        views += [_view(ref, None, samples) for ref in measured if ref not in seen]
    finally:
        samples.close()
    return sorted(views, key=lambda one: str(one.ref))


def pool_history(settings: Settings, ref: PoolRef, since: datetime) -> list[Level]:
    """Give the samples of a pool."""
    samples = PoolSamples(settings.samples.get_secret_value())
    try:
        return samples.read(ref, since)
    finally:
        samples.close()


def _view(ref: PoolRef, status: WatchStatus | None, samples: PoolSamples) -> PoolView:
    levels = samples.read(ref, datetime.now(UTC) - TREND_OVER)
    newest = [one for one in (levels[-1] if levels else None, status.level if status else None) if one is not None]
    level = max(newest, key=lambda one: one.at, default=None)
    marks = [entry.threshold for entry in status.entries] if status else []
    fall = min((FALL, *((mark.upper - mark.lower) / 2 for mark in marks)))
    return PoolView(ref=ref, level=level, trend=trend(levels, fall), status=status)


def _of(ref: PoolRef, measured: Sequence[PoolRef]) -> PoolRef:
    found = [
        one for one in measured
        if (one.site, one.pool) == (ref.site, ref.pool) and ref.filesystem in (None, one.filesystem)
    ]  # fmt: skip
    return found[0] if len(found) == 1 else ref
