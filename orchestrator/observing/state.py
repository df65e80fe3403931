"""How things stand, as gauges: read from the databases when somebody asks, so that any process can tell."""

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import select

from activities.claims import now_us
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditError
from activities.notices.outbox import Outbox
from activities.notices.tables import runs
from activities.notices.watching import promises
from activities.pool_samples import PoolSamples
from orchestrator.settings import Settings

MOST_POOLS = 1_000
FRESH_FOR = 5.0
"""Seconds for which an answer stands: several who ask at once cost the databases one look."""

_US = 1_000_000


class StateCollector(Collector):
    """Gauges of runs, pools, promises, audit and notices; `orchestrator_state_readable` says whether all are there."""

    def __init__(self, settings: Settings) -> None:
        self._log = AuditLog(settings.audit.get_secret_value(), wait=2.0)
        self._outbox = Outbox(settings.notices.get_secret_value(), wait=2.0)
        self._samples = PoolSamples(settings.samples.get_secret_value(), wait=2.0)
        self._found: list[GaugeMetricFamily] = []
        self._looked = float("-inf")

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is looked at only to be registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give every gauge that can be read now."""
        if time.monotonic() > self._looked + FRESH_FOR:
            self._found, self._looked = list(self._look()), time.monotonic()
        yield from self._found

    def close(self) -> None:
        """Close every connection."""
        for one in (self._log, self._outbox, self._samples):
            one.close()

    def _look(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("orchestrator_build", "The version of this process", {(version("tiering-orchestrator"),): 1},
                     "version")  # fmt: skip
        readable = 1
        for part in (self._audit, self._notices, self._runs, self._pools):
            try:
                yield from list(part())
            except AuditError:
                readable = 0
        yield _gauge("orchestrator_state_readable", "Whether the databases could be read", {(): readable})

    def _audit(self) -> Iterator[GaugeMetricFamily]:
        last = self._log.records(limit=1, newest=True) if self._log.is_there() else []
        count = last[0].seq if last else 0
        yield _gauge("orchestrator_audit_records", "Records in the audit", {(): count})
        at = self._outbox.place()
        behind = count - at.cursor if at is not None else 0
        yield _gauge("orchestrator_audit_unfollowed", "Records that the notifier has not seen", {(): behind})

    def _notices(self) -> Iterator[GaugeMetricFamily]:
        backlog = {"waiting": 0, "sent": 0, "given_up": 0, **self._outbox.backlog()}
        yield _gauge("orchestrator_notices", "Notices in the outbox", {(k,): v for k, v in backlog.items()}, "state")
        health = self._outbox.health()
        failures = {(name,): how.failures for name, how in health.items()}
        yield _gauge("orchestrator_notice_target_failures", "Tries in a row that failed", failures, "target")
        waiting = [how.oldest.timestamp() for how in health.values() if how.oldest is not None]
        oldest = time.time() - min(waiting) if waiting else 0
        yield _gauge("orchestrator_notices_oldest_seconds", "Age of the oldest notice that waits", {(): oldest})

    def _runs(self) -> Iterator[GaugeMetricFamily]:
        states = Tally(dict.fromkeys(("running", "waiting", "paused"), 0))
        breakers = Tally(dict.fromkeys(("closed", "open", "probing", "ramping"), 0))
        ages: dict[tuple[str, ...], float] = {}
        if self._outbox.is_there():
            with self._outbox.reading() as connection:
                now = now_us(connection)
                for run in connection.execute(select(runs.c.state, runs.c.breaker).where(runs.c.ended_us.is_(None))):
                    states[run.state] += 1
                    breakers[run.breaker] += 1
                for one in promises(connection):
                    ages[(one.policy, one.site)] = now / _US - one.since.timestamp()
        yield _gauge("orchestrator_runs", "Open runs", {(k,): v for k, v in states.items()}, "state")
        yield _gauge("orchestrator_breakers", "Breakers of open runs", {(k,): v for k, v in breakers.items()}, "stand")
        yield _gauge("orchestrator_policy_since_success_seconds", "Time since the last success of a policy with `slo`",
                     ages, "policy", "site")  # fmt: skip

    def _pools(self) -> Iterator[GaugeMetricFamily]:
        used: dict[tuple[str, ...], float] = {}
        capacity: dict[tuple[str, ...], float] = {}
        for ref, level in self._samples.newest(MOST_POOLS):
            name = (ref.site, ref.filesystem or "", ref.pool)
            used[name], capacity[name] = level.used, level.capacity
        labels = ("site", "filesystem", "pool")
        yield _gauge("orchestrator_pool_used_bytes", "Bytes used in a watched pool", used, *labels)
        yield _gauge("orchestrator_pool_capacity_bytes", "Bytes that a watched pool holds", capacity, *labels)


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
