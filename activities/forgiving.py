"""At the end of a run: files that it did have no failed tries any more, and leave the quarantine if they were in it."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from activities.apart import Apart
from activities.audit import Audit, AuditRecord, record_key
from activities.bulk import Bulk, reading
from activities.ledger.events import Event
from activities.quarantine import Quarantine, digest_of
from activities.storage import Storage

_CHUNK = 10_000


class Released(NamedTuple):
    """Files that left the quarantine together: how many, and the digest of their paths."""

    files: int
    digest: str


@dataclass
class Forgiving:
    """Joins what a run did with what had failed before, on disk."""

    storage: Storage
    audit: Audit
    quarantine: Quarantine
    apart: Apart = field(default_factory=Apart)

    async def forgive(self, bulk: Bulk, run: str, site: str, since_us: int, files: int) -> None:
        """Set the tries of every file back that the run, of so many files, did or found done; may be done again."""
        if not await asyncio.to_thread(self.quarantine.has_any, site):
            return
        work = partial(_released, self.storage, self.quarantine, run, site, since_us)
        for number, released in enumerate(await self.apart.do(bulk, work, files)):
            body = {
                "site": site,
                "files": released.files,
                "digest": released.digest,
                "why": "a run did them all the same",
                "reason": "",
            }
            key = record_key(run, Event.QUARANTINE_RELEASED, number, released.digest)
            record = AuditRecord(event=Event.QUARANTINE_RELEASED, actor="engine", run=run, key=key, body=body)
            await self.audit.write(record)


def _released(
    storage: Storage, quarantine: Quarantine, run: str, site: str, since_us: int, bulk: Bulk
) -> list[Released]:
    """Let files leave the quarantine, some at a time: few can, since plans leave them out."""
    found: list[Released] = []
    with bulk.folder() as folder, bulk.database(folder) as database:
        failing = folder / "failing.parquet"
        if not quarantine.write_paths(site, failing, every=True):
            return found
        outcomes = storage.fetch(f"runs/{run}/outcomes.parquet", folder)
        rows = database.sql(f"""
            SELECT path FROM {reading([outcomes])}
            WHERE (outcome = 'done' OR (outcome = 'skipped' AND reason = 'already_done'))
              AND path IN (SELECT path FROM {reading([failing])})
        """)
        for batch in rows.to_arrow_reader(_CHUNK):
            paths = quarantine.succeeded(site, batch.column("path").to_pylist(), run=run, since_us=since_us)
            if paths:
                found.append(Released(len(paths), digest_of(paths)))
    return found
