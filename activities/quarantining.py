"""After each round: counts the tries of the files that failed, and sets aside those that failed too often in a row."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field
from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.heartbeat import beating
from activities.ledger.events import Event
from activities.manifests import read_batch
from activities.quarantine import Failing, Failure, Quarantine, digest_of
from activities.settled import BatchOutcome, FileException, read_batches, read_skips, settle_batch
from activities.storage import Storage
from workflows.names import printable, to_text
from workflows.payload import Payload

QUARANTINED = "quarantined"


class SetAsideRequest(Payload):
    """A round that is over, by its number and manifest, and after how many tries a file is set aside."""

    run: str
    round: int
    manifest: str
    batches: int
    site: str
    after: int
    lasting: timedelta


class SetAside(Payload):
    """How many files were set aside, by the reason of their last failure."""

    reasons: dict[str, int] = Field(default_factory=dict)


@dataclass
class Quarantining:
    """The activity; one instance serves a worker."""

    storage: Storage
    audit: Audit
    quarantine: Quarantine

    @activity.defn
    async def set_aside(self, request: SetAsideRequest) -> SetAside:
        """Give files that failed too often the outcome `quarantined` in their batch's own account."""
        seen = [0]
        totals: Counter[str] = Counter()
        async with beating(lambda: {"batch": seen[0]}):
            ended = read_batches(self.storage, request.run, request.round, request.batches)
            while (one := await asyncio.to_thread(next, ended, None)) is not None:
                number, outcome = one
                if outcome is not None and outcome.files:
                    totals += Counter(await self._of_batch(request, number, outcome))
                seen[0] = number + 1
        return SetAside(reasons=dict(sorted(totals.items())))

    async def _of_batch(self, request: SetAsideRequest, number: int, outcome: BatchOutcome) -> dict[str, int]:
        failed = await asyncio.to_thread(self._tries, request, number, outcome)
        if not failed:
            return {}
        batch = await asyncio.to_thread(read_batch, self.storage, request.manifest, number)
        texts = {ordinal: to_text(path) for ordinal, path in zip(batch.ordinals, batch.paths, strict=True)}
        set_aside = await asyncio.to_thread(
            self.quarantine.count,
            (request.run, request.round, number),
            request.site,
            [Failure(texts[one.ordinal], one.reason or "unknown", one.message) for one in failed],
            after=request.after,
            lasting=request.lasting,
        )
        ends = {one.ordinal: set_aside[texts[one.ordinal]] for one in failed if texts[one.ordinal] in set_aside}
        if not ends:
            return {}
        reasons = dict(sorted(Counter(found.reason for found in ends.values()).items()))
        await self._record(request, number, list(ends.values()), reasons)
        files = tuple(_aside(one, ends.get(one.ordinal)) for one in outcome.files)
        told = outcome.model_copy(update={"files": files})
        await asyncio.to_thread(
            settle_batch, self.storage, request.run, request.round, number, batch, told, with_skips=False
        )
        return reasons

    def _tries(self, request: SetAsideRequest, number: int, outcome: BatchOutcome) -> list[FileException]:
        """Give the failures that are the files' own; an earlier attempt may have set some of them aside already."""
        failed = [one for one in outcome.files if one.outcome in ("failed", QUARANTINED)]
        if outcome.job is not None or not failed:
            return failed
        # Without a job the Hub has refused the whole batch; only what the look before it found is a file's own.
        looked = {one.ordinal for one in read_skips(self.storage, request.run, request.round, number) or ()}
        return [one for one in failed if one.ordinal in looked]

    async def _record(
        self, request: SetAsideRequest, number: int, found: list[Failing], reasons: dict[str, int]
    ) -> None:
        body = {
            "site": request.site,
            "round": request.round,
            "batch": number,
            "files": len(found),
            "reasons": reasons,
            "digest": digest_of([one.path for one in found]),
            "until": max(one.until for one in found if one.until is not None).isoformat(),
        }
        key = record_key(request.run, Event.QUARANTINE_SET, request.round, number)
        record = AuditRecord(event=Event.QUARANTINE_SET, actor="engine", run=request.run, key=key, body=body)
        await self.audit.write(record)


def _aside(one: FileException, found: Failing | None) -> FileException:
    if found is None or found.until is None:
        return one
    why = f"{printable(found.message)} (failed {found.tries} times in a row: set aside until {found.until:%Y-%m-%d})"
    return one._replace(outcome=QUARANTINED, message=why)
