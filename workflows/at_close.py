"""What becomes of the jobs in flight when a window closes: they end by themselves, pause until it opens, or are cut."""

import asyncio
from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.jobs import CancelJobs, HoldJobs, Jobs
    from workflows.options import CANCEL_JOBS
    from workflows.plan import OutcomeCounts

WHY = "the window of the policy closed"


class JobsInFlight:
    """Brings a segment's jobs into line with the window, one change at a time, and knows which ones it touched."""

    def __init__(self, run: str, site: str, at_close: str) -> None:
        self._run = run
        self._site = site
        self._at_close = at_close
        self._paused: set[int] = set()
        self._cut: set[int] = set()
        self._touched: set[int] = set()
        self._line = asyncio.Lock()

    @property
    def pauses(self) -> bool:
        """Tell whether a job may stand still for as long as the window is closed."""
        return self._at_close == "pause_jobs"

    def has_cut(self, job: int, counts: OutcomeCounts) -> bool:
        """Tell whether the window left something of this job undone, to be sent again when it opens."""
        return job in self._cut and counts.cancelled > 0

    def has_touched(self, job: int) -> bool:
        """Tell whether the window paused or cut this job, so that its time says nothing of the Hub."""
        return job in self._touched

    async def keep(self, in_flight: Callable[[], list[int]], closed: Callable[[], bool]) -> None:
        """Do what the policy says, for as long as there is a job to which it was not done.

        Whoever waits for the Hub here sees afterwards what holds by then.
        """
        if self._at_close == "finish_batch":
            return
        async with self._line:
            while True:
                jobs = set(in_flight())
                self._paused &= jobs
                if self.pauses and not closed():
                    if not self._paused:
                        return
                    again = sorted(self._paused)
                    await self._hold(again, resume=True)
                    self._paused -= set(again)
                elif not closed() or not (fresh := sorted(jobs - self._paused - self._cut)):
                    return
                elif self.pauses:
                    self._touched |= set(fresh)
                    await self._hold(fresh, resume=False)
                    self._paused |= set(fresh)
                else:
                    self._cut |= set(fresh)
                    self._touched |= set(fresh)
                    request = CancelJobs(run=self._run, site=self._site, jobs=tuple(fresh), actor="engine", why=WHY)
                    await workflow.execute_activity_method(Jobs.cancel_jobs, request, **CANCEL_JOBS)

    async def _hold(self, jobs: list[int], *, resume: bool) -> None:
        request = HoldJobs(
            run=self._run,
            site=self._site,
            jobs=tuple(jobs),
            resume=resume,
            why="the window of the policy is open again" if resume else WHY,
            at_us=round(workflow.now().timestamp() * 1_000_000),
        )
        await workflow.execute_activity_method(Jobs.hold_jobs, request, **CANCEL_JOBS)
