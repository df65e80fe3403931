"""Sends a batch to the Hub exactly once, although the Hub may take it and never say so.

The Hub knows no idempotency key. Whenever a try may have reached it - its answer was lost, or an earlier attempt of
the activity died - the job is looked for among those made since, by its set of paths, before anything is sent again.
A record of the audit under the job's id is the claim that it belongs to this batch and to no other.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.audit import Audit, AuditRecord
from activities.errors import HubError, NotFound, OutcomeUnknown, Retryable
from activities.hub import jobs
from activities.hub.client import Hub
from activities.hub.jobs import Job, SubmitRequest

LOOKS = (0.0, 1.0, 2.0, 5.0, 10.0, 12.0)
"""Seconds before each look for a job that may exist: a proxy's 504 can come long before the job does."""
CLOCK_SLACK = 600.0
"""Seconds by which the Hub's clock may be behind ours."""
LONGEST_WAIT = 15.0
"""Seconds between two tries while the Hub is away."""


@dataclass(frozen=True)
class Claim:
    """Whose job it is: one batch of one round of one run, intended at a moment in microseconds."""

    run: str
    round: int
    batch: int
    digest: str
    intended_us: int
    bytes: int


class Submission:
    """One batch on its way to the Hub; `waits_for` says why it is not there yet."""

    def __init__(
        self,
        hub: Hub,
        audit: Audit,
        claim: Claim,
        request: SubmitRequest,
        *,
        again: int | None = None,
        looks: Sequence[float] = LOOKS,
    ) -> None:
        """Take what is to be sent; `again` is a finished job that the Hub shall resubmit instead of a new one."""
        self.waits_for: str | None = None
        self._hub = hub
        self._audit = audit
        self._claim = claim
        self._request = request
        self._again = again
        self._looks = looks

    async def send(self, *, in_doubt: bool, stopped: Callable[[], bool]) -> int | None:
        """Give the batch's job; None when stopped while nothing is in doubt.

        `in_doubt` means that an earlier try may have reached the Hub. Permanent errors of the Hub pass through.
        """
        misses = 0
        while True:
            try:
                if in_doubt:
                    job = await self._find()
                    if job is not None:
                        return job
                    in_doubt = False
                if stopped():
                    return None
                job = await self._try()
                await self._take("job.submitted", job)
                return job
            except OutcomeUnknown as error:
                in_doubt = True
                self.waits_for = f"the Hub to show whether it took the batch: {error}"
            except Retryable as error:
                misses += 1
                self.waits_for = f"the Hub: {error}"
                if not in_doubt and stopped():
                    return None
                await asyncio.sleep(error.retry_after or min(0.5 * 2.0 ** min(misses, 6), LONGEST_WAIT))

    async def _try(self) -> int:
        if self._again is not None:
            return await jobs.resubmit(self._hub, self._again)
        return await jobs.submit(self._hub, self._request)

    async def _find(self) -> int | None:
        """Look several times for a job with exactly our paths; None when there is none for certain."""
        for pause in self._looks:
            await asyncio.sleep(pause)
            job = await self._running_again() or await self._look_until_clear()
            if job is not None:
                return job
        return None

    async def _running_again(self) -> int | None:
        """The job that was to be resubmitted, when it runs again under its own number."""
        if self._again is None or (await jobs.state(self._hub, self._again)).final:
            return None
        await self._take("job.adopted", self._again)
        return self._again

    async def _look_until_clear(self) -> int | None:
        """Look once through the jobs; wait while one that could be ours does not show all its paths yet."""
        while True:
            unclear = False
            async for job in jobs.find(
                self._hub,
                site=self._request.site,
                workflow=self._request.workflow,
                created_from=self._created_from(),
            ):
                if job.id == self._again or await self._is_taken(job.id):
                    continue
                match = await self._compare(job)
                if match and await self._take("job.adopted", job.id):
                    return job.id
                unclear = unclear or match is None
            if not unclear:
                return None
            self.waits_for = "a job that may be ours to show its paths"
            await asyncio.sleep(2.0)

    async def _compare(self, job: Job) -> bool | None:
        """Tell whether a job has exactly our paths; None while it has only some of them and is not over."""
        ours = set(self._request.paths)
        theirs: set[str] = set()
        try:
            async for path in jobs.paths(self._hub, job.id):
                if self._again is None and not self._belongs(path, ours):
                    return False
                theirs.add(path)
            if self._request.discovery or theirs >= ours:
                return True if theirs else None
            state = await jobs.state(self._hub, job.id)
        except NotFound:
            return False
        return False if state.final else None

    def _belongs(self, path: str, ours: set[str]) -> bool:
        if not self._request.discovery:
            return path in ours
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in ours)

    async def _is_taken(self, job: int) -> bool:
        stored = await self._audit.find(self._key(job))
        return stored is not None and self._is_current(stored.at) and not self._is_ours(stored.run, stored.body)

    async def _take(self, event: str, job: int) -> bool:
        """Record the job as this batch's; False when another batch of the same paths has it already.

        A claim that is older than our intent speaks of an earlier job with this number (the Hub was set up anew), so
        ours is then recorded under a longer key.
        """
        stored = (await self._audit.write(self._record(event, job, self._key(job))))[0]
        if stored.same or self._is_ours(stored.run, stored.body):
            return True
        claim = self._claim
        key = f"{self._key(job)}/{claim.run}/{claim.round}/{claim.batch}"
        if event == "job.adopted" and self._is_current(stored.at):
            return False
        await self._audit.write(self._record(event, job, key))
        return True

    def _record(self, event: str, job: int, key: str) -> AuditRecord:
        claim = self._claim
        body = {
            "site": self._request.site,
            "workflow": self._request.workflow,
            "job": job,
            "round": claim.round,
            "batch": claim.batch,
            "batch_digest": claim.digest,
            "files": len(self._request.paths),
            "bytes": claim.bytes,
        }
        return AuditRecord(event=event, actor="engine", run=claim.run, key=key, body=body)

    def _key(self, job: int) -> str:
        return f"job/{self._request.site}/{job}"

    def _is_ours(self, run: str | None, body: dict[str, object]) -> bool:
        claim = self._claim
        return (run, body.get("round"), body.get("batch")) == (claim.run, claim.round, claim.batch)

    def _is_current(self, at: str) -> bool:
        """Tell whether a claim is younger than our intent; an older one speaks of another job with this number."""
        return datetime.fromisoformat(at) >= self._created_from()

    def _created_from(self) -> datetime:
        """The moment since which a job may be ours; Temporal's clock, which wrote the intent, may be ahead of ours."""
        return datetime.fromtimestamp(min(self._claim.intended_us, micros()) / 1_000_000 - CLOCK_SLACK, UTC)


def explain(error: HubError) -> str:
    """Say what a person can do about a batch that the Hub does not take."""
    return f"{type(error).__name__}: {error}"


def micros() -> int:
    """Now, in microseconds since the epoch."""
    return time.time_ns() // 1000
