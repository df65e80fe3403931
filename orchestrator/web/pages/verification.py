"""Whether the audit is as it was written: walked again and again in the background, so that no page waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditError
from orchestrator.auditing.proof import Proof

PAUSE = 10.0
"""Seconds between two walks, at least."""
SHARE = 0.05
"""The part of the time that walking may take."""
FILES_EVERY = 900.0
"""Seconds between two looks at what the storage holds of manifests and outcomes."""


@dataclass(frozen=True)
class Badge:
    """The last verdict: what was found, when, and how long it took; before the first walk nothing is known."""

    ok: bool | None = None
    records: int = 0
    head: str = ""
    at: datetime | None = None
    took: float = 0.0
    broken_at: int | None = None
    why: str | None = None
    files: int | None = None
    doubts: tuple[str, ...] = ()
    damages: tuple[str, ...] = ()
    signed: int | None = None
    unreadable: str | None = None


@dataclass
class Verification:
    """Walks the audit in a thread of its own for as long as `watching` runs; `look` walks once."""

    log: AuditLog
    prove: Callable[[bool], Proof]
    badge: Badge = field(default_factory=Badge)
    _once: threading.Lock = field(default_factory=threading.Lock)
    _files_at: float = float("-inf")

    async def watching(self) -> None:
        """Walk again and again."""
        while True:
            badge = await self.look()
            await asyncio.sleep(max(PAUSE, badge.took / SHARE))

    async def look(self, *, files: bool = False) -> Badge:
        """Walk the whole chain now; `files` looks at the storage too, which is done now and then anyway."""
        return await asyncio.to_thread(self._look, files)

    def _look(self, files: bool) -> Badge:
        with self._once:
            began = time.monotonic()
            with_files = files or began - self._files_at > FILES_EVERY
            try:
                if not self.log.is_there():
                    self.badge = Badge(ok=True, at=datetime.now(UTC))
                    return self.badge
                proof = self.prove(with_files)
            except AuditError as error:
                self.badge = Badge(unreadable=str(error), at=datetime.now(UTC), took=time.monotonic() - began)
                return self.badge
            if with_files:
                self._files_at = began
            self.badge = self._told(proof, with_files, time.monotonic() - began)
            return self.badge

    def _told(self, proof: Proof, with_files: bool, took: float) -> Badge:
        damages = tuple(f"{one.name} of record {one.seq} {one.why}" for one in proof.damages)
        if proof.damages_in_all > len(damages):
            damages = (*damages, f"{proof.damages_in_all - len(damages):,} more files are not what they were")
        if not with_files:  # What the last look at the storage found still counts.
            damages = self.badge.damages
        doubts = tuple(f"checkpoint {one.name}: {one.why}" for one in proof.doubts)
        return Badge(
            ok=proof.chain.ok and not doubts and not damages,
            records=proof.chain.count,
            head=proof.chain.head,
            at=datetime.now(UTC),
            took=took,
            broken_at=proof.broken_at,
            why=proof.chain.why,
            files=proof.files if with_files else self.badge.files,
            doubts=doubts,
            damages=damages,
            signed=proof.signed,
        )
