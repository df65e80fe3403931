"""Alerts: a pool that passes its mark raises one, and falling clearly below resolves it."""

import sqlite3

from orchestrator.localhub.clock import now_us
from orchestrator.localhub.pools import PoolUse
from orchestrator.localhub.store import Store

LOW_DISK_SPACE = "lowDiskSpace"
_BACK_BY = 1.0


class Alerts:
    """The table of alerts; marks are percent of a pool's capacity."""

    def __init__(self, store: Store, mark: float) -> None:
        self._store = store
        self._mark = mark

    def look(self, pools: list[PoolUse]) -> None:
        """Raise and resolve what the pools' levels say."""
        known = {row["subject"] for row in self.open()}
        for pool in pools:
            if pool.name not in known and pool.utilisation >= self._mark:
                self._raise(pool)
            elif pool.name in known and pool.utilisation < self._mark - _BACK_BY:
                self._resolve(pool)

    def open(self) -> list[sqlite3.Row]:
        """Give all alerts that are not resolved."""
        return self._store.read().execute("SELECT * FROM alerts WHERE resolved IS NULL ORDER BY id").fetchall()

    def _raise(self, pool: PoolUse) -> None:
        summary = f"Storage pool {pool.name} is {pool.utilisation:.1f}% full ({pool.used} of {pool.capacity} bytes)"
        severity = "critical" if pool.utilisation >= 100 else "warning"
        with self._store.write() as database:
            database.execute(
                "INSERT INTO alerts (name, severity, subject, summary, raised) SELECT ?, ?, ?, ?, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM alerts WHERE subject = ? AND resolved IS NULL)",
                (LOW_DISK_SPACE, severity, pool.name, summary, now_us(), pool.name),
            )

    def _resolve(self, pool: PoolUse) -> None:
        with self._store.write() as database:
            database.execute(
                "UPDATE alerts SET resolved = ? WHERE subject = ? AND resolved IS NULL", (now_us(), pool.name)
            )
