"""Sends a batch to the Hub exactly once, although the Hub may take it and never say so.

The Hub knows no idempotency key. Whenever a try may have reached it - its answer was lost, or an earlier attempt of
the activity died - the job is looked for among those made since, by its set of paths, before anything is sent again.
A record of the audit under the job's id says that it belongs to this batch and to no other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from activities.audit import Audit, AuditRecord
from activities.errors import HubError, NotFound, OutcomeUnknown, Retryable
from activities.hub import jobs
from activities.hub.client import Hub
from activities.hub.clock import CLOCK_SLACK, looked_from
from activities.hub.jobs import Job, SubmitRequest

LOOKS = (0.0, 1.0, 3.0, 8.0, 18.0, 30.0)
"""When to look for a job that may exist, in seconds since nothing was sent any more: a proxy's 504 can come long
before the job does."""
FEWEST_LOOKS = 3
"""How many of them in a row the Hub must answer, however long ago that was."""
LONGEST_WAIT = 15.0
"""Seconds between two tries while the Hub is away."""
UNCLEAR_FOR = 1800.0
"""Seconds to wait for a job that may be ours to show its paths, before a person has to look."""
STOPPED_FOR = 60.0
"""The same once the run is stopped."""


@dataclass(frozen=True)
class Sender:
    """Whose job it is: one batch of one round of one run, intended at a moment in microseconds."""

    run: str
    round: int
    batch: int
    digest: str
    intended_us: int
    bytes: int


class Outdated(Exception):
    """What was decided about the batch holds no longer, and nothing of it was sent: decide again."""


class Unsettled(Exception):
    """It cannot be told whether the Hub has the batch: look at the job that is named, then run the policy again."""


class Submission:
    """One batch on its way to the Hub; it tells why it is not there yet."""

    def __init__(
        self,
        hub: Hub,
        audit: Audit,
        sender: Sender,
        request: SubmitRequest,
        *,
        again: int | None = None,
        cut: Sequence[int] = (),
        stopped: Callable[[], bool],
        late: Callable[[], bool] = lambda: False,
        holds: Callable[[], Awaitable[bool]],
        tell: Callable[[str], None],
        looks: Sequence[float] = LOOKS,
    ) -> None:
        """Take what is to be sent; `again` is a finished job that the Hub shall resubmit instead of a new one.
        The jobs of `cut` were made for the batch before and are over; when it is `late`, nothing may be sent any more.

        `holds` tells, just before each try, whether what was decided about the batch still holds.
        """
        self._tell = tell
        self._hub = hub
        self._audit = audit
        self._sender = sender
        self._request = request
        self._again = again
        self._cut = frozenset(cut)
        self._stopped = stopped
        self._late = late
        self._holds = holds
        self._looks = looks
        self._silent_since = time.monotonic()
        self._created_from = datetime.fromtimestamp(0, UTC)

    async def send(self, *, in_doubt: bool, silent: float = 0.0) -> int | None:
        """Give the batch's job; None when stopped, or too late, and certain that the Hub has none.

        `in_doubt` means that an earlier try may have reached the Hub, `silent` seconds ago or longer. Raises the
        permanent errors with which the Hub refuses the batch, Outdated, and Unsettled.
        """
        misses = 0
        self._silent_since = time.monotonic() - silent
        while True:
            try:
                if in_doubt:
                    job = await self._find_patiently()
                    if job is not None:
                        return job
                    in_doubt = False
                if self._stopped():
                    return None
                if not await self._holds():
                    raise Outdated
                if self._late():
                    return None
                job = await self._try()
                await self._take("job.submitted", job)
                return job
            except OutcomeUnknown as error:
                in_doubt, self._silent_since = True, time.monotonic()
                self._tell(f"the Hub to show whether it took the batch: {error}")
            except Retryable as error:
                misses += 1
                self._tell(f"the Hub: {error}")
                await asyncio.sleep(error.retry_after or min(0.5 * 2.0 ** min(misses, 6), LONGEST_WAIT))

    async def _try(self) -> int:
        if self._again is not None:
            return await jobs.resubmit(self._hub, self._again)
        return await jobs.submit(self._hub, self._request)

    async def _find_patiently(self) -> int | None:
        """Look until the Hub lets us: no error while looking proves that nothing was sent."""
        while True:
            try:
                return await self._find()
            except HubError as error:
                self._tell(f"the Hub, to look whether it took the batch: {error}")
                wait = error.retry_after if isinstance(error, Retryable) else None
                await asyncio.sleep(wait or LONGEST_WAIT / 3)

    async def _find(self) -> int | None:
        """Look several times for a job with exactly our paths; None when there is none for certain."""
        self._created_from = await looked_from(self._hub, self._intended())
        for pause in pauses(self._looks, time.monotonic() - self._silent_since):
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
        """Look through the jobs; wait while one that could be ours does not show all its paths yet."""
        began, stopped_at = time.monotonic(), float("inf")
        while True:
            unclear: int | None = None
            async for job in jobs.find(
                self._hub, site=self._request.site, workflow=self._request.workflow, created_from=self._created_from
            ):
                if job.id == self._again or job.id in self._cut or await self._is_taken(job.id):
                    continue
                match = await self._compare(job)
                if match and await self._take("job.adopted", job.id):
                    return job.id
                unclear = job.id if match is None else unclear
            if unclear is None:
                return None
            now = time.monotonic()
            stopped_at = min(stopped_at, now) if self._stopped() else stopped_at
            if self._request.discovery or now - began > UNCLEAR_FOR or now - stopped_at > STOPPED_FOR:
                raise Unsettled(f"the Hub's answer was lost, and job {unclear} may be ours: look at it in the Hub")
            self._tell(f"job {unclear}, which may be ours, to show its paths")
            await asyncio.sleep(2.0)

    async def _compare(self, job: Job) -> bool | None:
        """Tell whether a job has exactly our paths; None when that cannot be told, or not yet.

        A job that discovers shows what it found, not what it was given, so one inside our folders may be anybody's.
        """
        ours = set(self._request.paths)
        theirs: set[str] = set()
        try:
            async for path in jobs.paths(self._hub, job.id):
                if self._again is None and not self._belongs(path, ours):
                    return False
                theirs.add(path)
            if self._request.discovery:
                return None
            if theirs >= ours:
                return True
            state = await jobs.state(self._hub, job.id)
        except NotFound:
            return False
        return False if state.final else None

    def _belongs(self, path: str, ours: set[str]) -> bool:
        if not self._request.discovery:
            return path in ours
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in ours)

    async def _is_taken(self, job: int) -> bool:
        """Tell whether another batch has this job; every job of our own run is taken, however the clocks stand."""
        stored = await self._audit.find(self._key(job))
        if stored is None or self._is_ours(stored.run, stored.body):
            return False
        return stored.run == self._sender.run or self._is_current(stored.at)

    async def _take(self, event: str, job: int) -> bool:
        """Record the job as this batch's; False when another batch of the same paths has it already.

        A claim that is older than our intent speaks of an earlier job with this number (the Hub was set up anew), so
        ours is then recorded under a longer key.
        """
        stored = (await self._audit.write(self._record(event, job, self._key(job))))[0]
        if stored.same or self._is_ours(stored.run, stored.body):
            return True
        if event == "job.adopted" and job != self._again and self._is_current(stored.at):
            return False
        sender = self._sender
        key = f"{self._key(job)}/{sender.run}/{sender.round}/{sender.batch}"
        await self._audit.write(self._record(event, job, key))
        return True

    def _record(self, event: str, job: int, key: str) -> AuditRecord:
        sender = self._sender
        body = {
            "site": self._request.site,
            "workflow": self._request.workflow,
            "job": job,
            "round": sender.round,
            "batch": sender.batch,
            "batch_digest": sender.digest,
            "files": len(self._request.paths),
            "bytes": sender.bytes,
        }
        return AuditRecord(event=event, actor="engine", run=sender.run, key=key, body=body)

    def _key(self, job: int) -> str:
        return job_key(self._request.site, job)

    def _is_ours(self, run: str | None, body: dict[str, object]) -> bool:
        sender = self._sender
        return (run, body.get("round"), body.get("batch")) == (sender.run, sender.round, sender.batch)

    def _is_current(self, at: str) -> bool:
        """Tell whether a claim is younger than our intent; an older one speaks of another job with this number."""
        return datetime.fromisoformat(at) >= self._intended() - CLOCK_SLACK

    def _intended(self) -> datetime:
        """The moment of the intent; Temporal's clock, which wrote it, may be ahead of ours."""
        return datetime.fromtimestamp(min(self._sender.intended_us, micros()) / 1_000_000, UTC)


def pauses(looks: Sequence[float], silent: float) -> list[float]:
    """Give the seconds before each look when nothing was sent for so long: the first ones, then those still ahead."""
    first = list(looks[:FEWEST_LOOKS])
    ahead = [moment - silent for moment in looks[FEWEST_LOOKS:]]
    moments = [*first, *(moment for moment in ahead if moment > first[-1])]
    return [later - earlier for earlier, later in pairwise([0.0, *moments])]


def job_key(site: str, job: int) -> str:
    """Give the key of the audit's record that says whose job it is."""
    return f"job/{site}/{job}"


def micros() -> int:
    """Now, in microseconds since the epoch."""
    return time.time_ns() // 1000
