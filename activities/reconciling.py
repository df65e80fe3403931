"""The last look of a run: where the files that it calls done are now, asked of the Hub when nothing is left to do."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.audit import Audit, AuditRecord, record_key
from activities.errors import HubError, as_application_error
from activities.heartbeat import beating
from activities.hub.client import Hub
from activities.manifests import read_batch
from activities.settled import FileException, read_settled, settle_batch
from activities.storage import Storage
from activities.whereabouts import misplaced
from workflows.payload import Payload


class ReconcileRequest(Payload):
    """A run whose last round is over: its rounds by number, manifest and batches, and what it did to the files."""

    run: str
    site: str
    workflow: str
    rounds: tuple[tuple[int, str, int], ...]


class Reconciled(Payload):
    """How many files were looked for, and how many are not where they should be."""

    looked: int = 0
    misplaced: int = 0


class Reach(Reconciled):
    """The heartbeat: the same so far, and the round and batch that come next."""

    round: int = 0
    batch: int = 0


@dataclass
class Reconciliation:
    """The activity; one instance serves a worker."""

    hub: Hub
    storage: Storage
    audit: Audit

    @activity.defn
    async def reconcile(self, request: ReconcileRequest) -> Reconciled:
        """Give every file that is not where it should be the outcome `failed: unknown`, in its batch's own account."""
        reach = _resumed()
        async with beating(lambda: reach[0]):
            for number, manifest, batches in request.rounds:
                if number < reach[0].round:
                    continue
                first = reach[0].batch if number == reach[0].round else 0
                for batch in range(first, batches):
                    looked, wrong = await self._look(request, number, manifest, batch)
                    so_far = reach[0]
                    reach[0] = Reach(
                        looked=so_far.looked + looked,
                        misplaced=so_far.misplaced + wrong,
                        round=number,
                        batch=batch + 1,
                    )
        found = Reconciled(looked=reach[0].looked, misplaced=reach[0].misplaced)
        await self._record(request.run, found)
        return found

    async def _look(self, request: ReconcileRequest, number: int, manifest: str, batch: int) -> tuple[int, int]:
        """Look for the files that one batch did, and write down those that are elsewhere."""
        outcome = await asyncio.to_thread(read_settled, self.storage, request.run, number, batch)
        if outcome is None or outcome.job is None or outcome.rest is not None:
            return 0, 0
        files = await asyncio.to_thread(read_batch, self.storage, manifest, batch)
        done = files.without({one.ordinal for one in outcome.files})
        try:
            elsewhere = await misplaced(self.hub, request.site, request.workflow, done.paths)
        except HubError as error:
            raise as_application_error(error) from error
        if elsewhere:
            ordinals = dict(zip(done.paths, done.ordinals, strict=True))
            found = tuple(
                FileException(ordinals[path], "failed", "unknown", _message(request, outcome.job, place))
                for path, place in elsewhere.items()
            )
            told = outcome.model_copy(update={"files": (*outcome.files, *found)})
            await asyncio.to_thread(
                settle_batch, self.storage, request.run, number, batch, files, told, with_skips=False
            )
        return len(done.paths), len(elsewhere)

    async def _record(self, run: str, found: Reconciled) -> None:
        key = record_key(run, "files.verified")
        body = found.model_dump()
        await self.audit.write(AuditRecord(event="files.verified", actor="engine", run=run, key=key, body=body))


def _resumed() -> list[Reach]:
    """Go on where the last attempt was; what it had written down may be written again."""
    details = activity.info().heartbeat_details
    return [Reach.model_validate(details[0]) if details else Reach()]


def _message(request: ReconcileRequest, job: int, place: str) -> str:
    return f"was done ({request.workflow}, job {job}), but at the end of the run the file is {place}"
