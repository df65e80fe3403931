"""The course of a run: its phase, its trouble, what stops it and until when it waits; its whole story goes by it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit, AuditRecord
    from workflows.options import RECORD
    from workflows.run import Phase, RunState, Stop
    from workflows.segments import Segments

Value = TypeVar("Value")
FINAL_PHASES = (Phase.REPORT, Phase.OVER)
CANCELLED_AFTER_ALL = "jobs are cancelled that were to end"
"""The patch with which a second word cancels the jobs that the first one let end; before, only the first counted."""


class Stopped(Exception):
    """Somebody or the deadline stopped the run; what was planned is still accounted for."""


class Refused(Exception):
    """A guard, or the person who was asked, does not let this plan run; nothing has moved."""


class Expired(Exception):
    """Nobody approved the plan in time; nothing has moved."""


class Course:
    """Where a run is; waits for what it needs unless somebody stops it, and records what happens."""

    def __init__(self, run: str, segments: Segments, announce: Callable[[], None]) -> None:
        self.phase = Phase.PREFLIGHT
        self.state = RunState.RUNNING
        self.trouble: str | None = None
        self.next_try: datetime | None = None
        self.started = workflow.now()
        self.waited_for_approval = timedelta(0)
        self.announce = announce
        self._run = run
        self._segments = segments

    @property
    def stop(self) -> Stop | None:
        """Why nothing more begins."""
        return self._segments.steering.stop

    async def record(self, event: str, *, actor: str = "engine", **body: object) -> None:
        """Write one event of the run into the audit."""
        key = f"{self._run}/{event}/{workflow.uuid4()}"
        record = AuditRecord(event=event, actor=actor, run=self._run, key=key, body=body)
        await workflow.execute_activity_method(Audit.record, record, **RECORD)

    async def end(self, stop: Stop, reason: str = "") -> None:
        """Stop the run; the first word counts, but who cancels later can have jobs cancelled that were to end."""
        if self.phase in FINAL_PHASES or not self._says_more(stop):
            return
        await self._segments.steer(stop=stop)
        workflow.upsert_memo({"state": str(RunState.CANCELLING)})
        await self.record("run.stopped", actor=stop.by, why=stop.why, reason=reason)

    def _says_more(self, stop: Stop) -> bool:
        if self.stop is None:
            return True
        more = self.stop.keep_jobs and not stop.keep_jobs and stop.state is self.stop.state
        return more and workflow.patched(CANCELLED_AFTER_ALL)

    async def keep_deadline(self, limit: timedelta | None, asks: Callable[[], bool]) -> None:
        """Stop the run when it has lasted for so long; the time that it waits for a person does not count."""
        if limit is None:
            return
        while (left := self.started + limit + self.waited_for_approval - workflow.now()) > timedelta(0):
            await asyncio.sleep(left.total_seconds())
            await workflow.wait_condition(lambda: not asks())
        await self.end(Stop(why=f"run.deadline ({limit}) passed", by="engine", state=RunState.FAILED))

    def go_on(self) -> None:
        """Raise when the run is stopped."""
        if self.stop:
            raise Stopped(self.stop.why)

    async def unless_stopped(self, handle: workflow.ActivityHandle[Value]) -> Value:
        """Wait for an activity that a stop interrupts, and begin nothing while paused."""
        await workflow.wait_condition(lambda: handle.done() or self.stop is not None)
        if not handle.done():
            handle.cancel()
        try:
            value = await handle
        except ActivityError:
            self.go_on()
            raise
        await workflow.wait_condition(lambda: self.stop is not None or self._segments.steering.paused_by is None)
        self.go_on()
        return value

    async def until(self, enough: Callable[[], bool], moment: datetime) -> None:
        """Wait until a moment, until it is enough, or until the run is stopped, which is raised."""
        self.next_try = moment
        try:
            await workflow.wait_condition(lambda: self.stop is not None or enough(), timeout=moment - workflow.now())
        except TimeoutError:
            pass
        finally:
            self.next_try = None
        self.go_on()
