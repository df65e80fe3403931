"""Checkpoints as records are written: every so many of them and at the end of each run, beside the writing."""

import asyncio
import logging
from collections.abc import Sequence

from activities.ledger.checkpoints import keep_checkpoint, newest_seq, signed
from activities.ledger.events import Event
from activities.ledger.records import Stored
from activities.ledger.signing import SigningKey
from activities.storage import Storage

EVERY = 1_000
"""Records after which a checkpoint is written, if no run ended before."""

_AT_ONCE = frozenset({Event.RUN_ENDED, Event.PLAN_APPROVED, Event.POLICY_APPLIED})
_log = logging.getLogger(__name__)


class Checkpointing:
    """Signs the newest record that it heard of, one at a time; a failure is logged and costs no record anything."""

    def __init__(self, storage: Storage, key: SigningKey, *, every: int = EVERY) -> None:
        self._storage = storage
        self._key = key
        self._every = every
        self._newest: Stored | None = None
        self._signed: int | None = None
        self._at_once = False
        self._task: asyncio.Task[None] | None = None

    def hear(self, stored: Sequence[Stored]) -> None:
        """Take note of records that stand in the chain; called from the event loop."""
        for one in stored:
            if self._newest is None or one.seq > self._newest.seq:
                self._newest = one
                self._at_once = self._at_once or one.event in _AT_ONCE
        if self._task is None and self._newest is not None:
            self._task = asyncio.create_task(self._sign_what_is_due())

    async def finish(self, within: float = 10.0) -> None:
        """Wait until what is due is signed, at most so many seconds."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within)

    async def _sign_what_is_due(self) -> None:
        try:
            if self._signed is None:
                self._signed = await asyncio.to_thread(newest_seq, self._storage)
            while (due := self._due()) is not None:
                self._at_once = False
                await asyncio.to_thread(self._sign, due)
                self._signed = due.seq
        except Exception:  # what is due stays due: the next record tries again
            self._at_once = True
            _log.warning("no checkpoint of the audit could be written", exc_info=True)
        finally:
            self._task = None

    def _due(self) -> Stored | None:
        newest = self._newest
        if newest is None or self._signed is None or newest.seq == self._signed:
            return None
        return newest if self._at_once or newest.seq - self._signed >= self._every else None

    def _sign(self, record: Stored) -> None:
        keep_checkpoint(self._storage, signed(self._key, record.seq, record.hash))
