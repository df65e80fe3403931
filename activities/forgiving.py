"""At the end of a run: files that it did have no failed tries any more, and leave the quarantine if they were in it."""

from collections.abc import Iterator
from dataclasses import dataclass

from activities.audit import Audit, AuditRecord, record_key
from activities.bulk import Bulk, in_thread, reading
from activities.ledger.events import Event
from activities.quarantine import Quarantine, digest_of
from activities.storage import Storage

_CHUNK = 10_000


@dataclass
class Forgiving:
    """Joins what a run did with what had failed before, on disk."""

    storage: Storage
    audit: Audit
    quarantine: Quarantine

    async def forgive(self, bulk: Bulk, run: str, site: str, since_us: int) -> None:
        """Set the tries of every file back that the run did, or found done; may be done again."""
        found = await in_thread(bulk, lambda bulk: list(self._released(bulk, run, site, since_us)))
        for number, paths in enumerate(found):
            body = {
                "site": site,
                "files": len(paths),
                "digest": digest_of(paths),
                "why": "a run did them all the same",
                "reason": "",
            }
            key = record_key(run, Event.QUARANTINE_RELEASED, number, body["digest"])
            record = AuditRecord(event=Event.QUARANTINE_RELEASED, actor="engine", run=run, key=key, body=body)
            await self.audit.write(record)

    def _released(self, bulk: Bulk, run: str, site: str, since_us: int) -> Iterator[list[str]]:
        """Give the files that leave the quarantine, some at a time: few can, since plans leave them out."""
        with bulk.folder() as folder, bulk.database(folder) as database:
            failing = folder / "failing.parquet"
            if not self.quarantine.write_paths(site, failing, every=True):
                return
            outcomes = self.storage.fetch(f"runs/{run}/outcomes.parquet", folder)
            rows = database.sql(f"""
                SELECT path FROM {reading([outcomes])}
                WHERE (outcome = 'done' OR (outcome = 'skipped' AND reason = 'already_done'))
                  AND path IN (SELECT path FROM {reading([failing])})
            """)
            for batch in rows.to_arrow_reader(_CHUNK):
                paths = self.quarantine.succeeded(site, batch.column("path").to_pylist(), run=run, since_us=since_us)
                if paths:
                    yield paths
