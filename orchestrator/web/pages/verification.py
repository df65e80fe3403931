"""Whether the audit is as it was written: looked at again and again in the background, so that no page waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditError
from orchestrator.auditing.proof import Proof
from orchestrator.auditing.watching import ChainWatch

PAUSE = 4.0
"""Seconds between two looks, at least."""
SHARE = 0.05
"""The part of the time that looking may take."""
ALL_EVERY = 900.0
"""Seconds between two proofs of all of it: checkpoints, and what the storage holds of manifests and outcomes."""


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
    """Looks at the audit in a thread for as long as `watching` runs; `look` does it once."""

    log: AuditLog
    chain: ChainWatch
    prove: Callable[[], Proof]
    badge: Badge = field(default_factory=Badge)
    _once: threading.Lock = field(default_factory=threading.Lock)
    _all_at: float = float("-inf")

    async def watching(self) -> None:
        """Look again and again."""
        while True:
            badge = await self.look()
            await asyncio.sleep(max(PAUSE, badge.took / SHARE))

    async def look(self, *, everything: bool = False) -> Badge:
        """Verify what is new and a part of what is old; or the whole chain, the checkpoints and the storage."""
        return await asyncio.to_thread(self._look, everything)

    def _look(self, everything: bool) -> Badge:
        with self._once:
            began = time.monotonic()
            try:
                self.badge = self._looked(everything, began) if self.log.is_there() else Badge(True, at=_now())
            except AuditError as error:
                self.badge = Badge(unreadable=str(error), at=_now(), took=time.monotonic() - began)
            return self.badge

    def _looked(self, everything: bool, began: float) -> Badge:
        verdict = (self.chain.full() if everything else self.chain.look()).verdict
        kept = self.badge
        doubts, damages, files, signed = kept.doubts, kept.damages, kept.files, kept.signed
        if everything or began - self._all_at > ALL_EVERY:
            proof = self.prove()
            doubts = tuple(f"checkpoint {one.name}: {one.why}" for one in proof.doubts)
            damages = tuple(f"{one.name} of record {one.seq} {one.why}" for one in proof.damages)
            if proof.damages_in_all > len(damages):
                damages = (*damages, f"{proof.damages_in_all - len(damages):,} more files are not what they were")
            files, signed, self._all_at = proof.files, proof.signed, began
        return Badge(
            ok=verdict.ok and not doubts and not damages,
            records=verdict.count,
            head=verdict.head,
            at=_now(),
            took=time.monotonic() - began,
            broken_at=verdict.broken_at,
            why=verdict.why,
            files=files,
            doubts=doubts,
            damages=damages,
            signed=signed,
        )


def _now() -> datetime:
    return datetime.now(UTC)
