"""Asks a run, its open segments and their heartbeats where they are, all at one moment."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus

from orchestrator.runs import NoSuchRun, ask, run_status
from workflows.interfaces import RunBatches
from workflows.progress import FlightProgress, RunProgress, combine
from workflows.run import Flight, RunState, RunStatus, SegmentStatus

FAULTY_AFTER = 3
"""A workflow task that was tried more often than this fails by itself, not for a lost worker."""


async def run_progress(client: Client, run: str) -> RunProgress:
    """Ask the run and its open segments, and read the heartbeats of what is in flight."""
    status = await run_status(client, run)
    described = await client.get_workflow_handle(run).describe()
    status = _with_abrupt_end(status, described)
    trouble = next((beat["trouble"] for beat in await _beats(client, described) if beat.get("trouble")), None)
    segments, flights, begun = [], [], 0
    for name in status.open_segments:
        try:
            segment, in_flight = await _segment(client, name)
        except NoSuchRun:
            continue
        begun = max(begun, _first(name) + segment.begun)
        segments.append(segment)
        flights.extend(in_flight)
    return combine(status, tuple(segments), tuple(flights), datetime.now(UTC), trouble, begun)


async def watch_run(client: Client, run: str, *, every: float = 0.5) -> AsyncIterator[RunProgress]:
    """Give the progress again and again until the run has ended, the last one included."""
    while True:
        progress = await run_progress(client, run)
        yield progress
        if progress.state.final:
            return
        await asyncio.sleep(every)


async def _segment(client: Client, name: str) -> tuple[SegmentStatus, list[FlightProgress]]:
    handle = client.get_workflow_handle_for(RunBatches.run, name)
    status: SegmentStatus = await ask(handle, RunBatches.status, name)
    described = await handle.describe()
    beats = await _beats(client, described)
    by_job = {beat.get("job"): beat for beat in beats if beat.get("job") is not None}
    unsent = [beat for beat in beats if beat.get("job") is None and beat.get("trouble")]
    flights = []
    for flight in status.in_flight:
        beat = by_job.get(flight.job) if flight.job is not None else (unsent.pop() if unsent else None)
        flights.append(_flight(flight, beat or {}))
    return status, flights


def _first(segment: str) -> int:
    """Give the first batch of a segment, which its name ends with: they begin one after the other."""
    found = re.search(r"-b(\d+)$", segment)
    return int(found[1]) if found else 0


def _flight(flight: Flight, beat: dict[str, Any]) -> FlightProgress:
    return FlightProgress(
        **flight.model_dump(), word=beat.get("word"), progress=beat.get("progress"), trouble=beat.get("trouble")
    )


async def _beats(client: Client, described: WorkflowExecutionDescription) -> list[dict[str, Any]]:
    beats = [await _beat(client, pending) for pending in described.raw_description.pending_activities]
    tries = described.raw_description.pending_workflow_task.attempt
    if tries > FAULTY_AFTER:
        beats.append({"trouble": f"a worker that can carry on: {described.id} failed {tries} times, its log says why"})
    return beats


async def _beat(client: Client, pending: Any) -> dict[str, Any]:
    """Read one pending activity: its heartbeat, or why its last attempt failed."""
    told = await client.data_converter.decode(pending.heartbeat_details.payloads)
    beat: dict[str, Any] = dict(told[0]) if told and isinstance(told[0], dict) else {}
    beat["trouble"] = beat.get("trouble") or beat.get("waits_for")
    waits = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    if pending.attempt > 1 and (waits or not told):
        beat["trouble"] = beat["trouble"] or pending.last_failure.message
    return beat


def _with_abrupt_end(status: RunStatus, described: WorkflowExecutionDescription) -> RunStatus:
    """A run that was terminated from outside could not say so itself."""
    if status.state.final or described.status in (WorkflowExecutionStatus.RUNNING, None):
        return status
    end = described.status.name.lower() if described.status else "ended"
    return status.model_copy(
        update={
            "state": RunState.FAILED,
            "finished": described.close_time,
            "waits_for": None,
            "open_segments": (),
            "trouble": status.trouble or f"the run was {end} in Temporal; its Hub jobs may still run",
        }
    )
