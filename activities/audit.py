"""The audit: the activity and the coroutine by which workflows and other activities write records."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ledger.events import BODY, Event
from activities.ledger.log import AuditLog, check
from activities.ledger.records import (
    PERMANENT,
    AuditError,
    AuditRecord,
    AuditUnavailable,
    BadRecord,
    Stored,
    WrongDatabase,
    record_key,
)
from activities.ledger.verdict import Verdict
from workflows.payload import Payload

if TYPE_CHECKING:
    from activities.checkpointing import Checkpointing

__all__ = [
    "BODY",
    "PERMANENT",
    "Audit",
    "AuditError",
    "AuditLog",
    "AuditRecord",
    "AuditUnavailable",
    "BadRecord",
    "Event",
    "Receipt",
    "Stored",
    "Verdict",
    "WrongDatabase",
    "record_key",
]

_MOST_A_COMMIT = 500


class Receipt(Payload):
    """Where a record stands; `same` is False when its key belongs to another record, the one of `run`."""

    seq: int
    at: str
    hash: str
    run: str | None
    same: bool


class Audit:
    """Writes records from an event loop; those that arrive while a commit is under way share the next one."""

    def __init__(self, log: AuditLog, checkpointing: "Checkpointing | None" = None) -> None:
        self._log = log
        self._checkpointing = checkpointing
        self._waiting: list[tuple[Sequence[AuditRecord], asyncio.Future[list[Stored]]]] = []
        self._writer: asyncio.Task[None] | None = None

    @activity.defn(name="record_audit")
    async def record(self, record: AuditRecord) -> Receipt:
        """Write one record once; a retry writes nothing and gets the same receipt."""
        stored = (await self.write(record))[0]
        return Receipt(seq=stored.seq, at=stored.at, hash=stored.hash, run=stored.run, same=stored.same)

    async def write(self, *records: AuditRecord) -> list[Stored]:
        """Write records, all or none; raises AuditUnavailable, or an ApplicationError that is not to be retried."""
        try:
            for record in records:
                check(record)  # here, so that nobody else's record fails with it
            answer: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()
            self._waiting.append((records, answer))
            if self._writer is None:
                self._writer = asyncio.create_task(self._write_waiting())
            return await answer
        except (BadRecord, WrongDatabase) as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error

    async def find(self, key: str) -> Stored | None:
        """Give the record that has a key, if there is one; raises AuditUnavailable."""
        return await asyncio.to_thread(self._log.get, key)

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                group = self._take_group()
                together = [record for records, _ in group for record in records]
                try:
                    stored = await asyncio.to_thread(self._log.append_many, together)
                except Exception as error:  # handed to every waiter, none is left hanging
                    for _, answer in group:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                start = 0
                for records, answer in group:
                    if not answer.done():
                        answer.set_result(stored[start : start + len(records)])
                    start += len(records)
                if self._checkpointing is not None:
                    self._checkpointing.hear(stored)
        finally:
            self._writer = None

    def _take_group(self) -> list[tuple[Sequence[AuditRecord], asyncio.Future[list[Stored]]]]:
        group = [self._waiting.pop(0)]
        size = len(group[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= _MOST_A_COMMIT:
            group.append(self._waiting.pop(0))
            size += len(group[-1][0])
        return group
