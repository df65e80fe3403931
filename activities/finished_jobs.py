"""Finds the Hub's jobs that have ended since the last look, with few requests and bounded memory.

Each look lists only the jobs that were made since a moment which moves on with the newest one; those that have not
ended are remembered and asked about together. The moment stays a little behind: a Hub may show a job late.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from activities.hub import jobs
from activities.hub.client import Hub
from activities.hub.jobs import Job
from activities.hub.states import DELETED, RUNNING_WORDS, state_of
from workflows.events import HUB_JOB, CloudEvent, HubCursor, OpenJob

OVERLAP = timedelta(minutes=2)
"""A job is listed for so long after it was made: the Hub may show it late, and its clock differ from ours."""

BEFORE_THE_FIRST = timedelta(hours=1)
"""The first look goes so far back, by our clock; from then on only the Hub's own times count."""

MOST_OPEN = 1_000
MOST_KNOWN = 2_000
"""So many jobs travel with a cursor; of more open ones the later ones wait to be taken up."""

_log = logging.getLogger(__name__)


@dataclass
class Look:
    """One look; `events` come as they are found, `cursor` says afterwards how far it came.

    A cursor that is older than what was told is never wrong: the same ends are found again, under the same ids.
    """

    hub: Hub
    cursor: HubCursor
    _made: dict[int, datetime] = field(default_factory=dict)
    _open: dict[int, OpenJob] = field(default_factory=dict)
    _without_room: datetime | None = None

    async def events(self) -> AsyncIterator[CloudEvent]:
        """Give the end of every job that is news. Raises HubError."""
        now = datetime.now(UTC)
        first = self.cursor.since is None
        since = now - BEFORE_THE_FIRST if self.cursor.since is None else datetime.fromisoformat(self.cursor.since)
        known = set(self.cursor.jobs)
        self._open = {job.id: job for job in self.cursor.open}
        if first:
            await self._take_up_open_ones()
        async for job in jobs.find(self.hub, created_from=since):
            if job.created is not None and job.created < since:
                continue  # This Hub does not filter.
            if job.id not in known and job.id not in self._open:
                if not _has_ended(job):
                    if not self._take_up(job, job.created or now):
                        continue
                elif not first:
                    yield _event_of(job, str(job.state))
            self._note(job.id, job.created or now)
        if first:
            async for event in self._ended_since_following_began():
                yield event
        async for event in self._ended_ones():
            yield event
        self._move_on(since)

    async def _take_up_open_ones(self) -> None:
        async for job in self.hub.items("/jobs/", {"state": RUNNING_WORDS}, Job):
            if not _has_ended(job):
                self._take_up(job, None)
        if len(self._open) >= MOST_OPEN:
            _log.warning("more than %d jobs of the Hub are open: of the others the ends are not told", MOST_OPEN)

    async def _ended_since_following_began(self) -> AsyncIterator[CloudEvent]:
        """Give the ends between the moment when they were first wanted and the first look."""
        if self.cursor.began is None:
            return
        began = datetime.fromisoformat(self.cursor.began)
        async for job in self.hub.items("/jobs/", {"completed_time_from": began}, Job):
            if job.id not in self._open and _has_ended(job) and job.completed is not None and job.completed >= began:
                yield _event_of(job, str(job.state))

    async def _ended_ones(self) -> AsyncIterator[CloudEvent]:
        """Give the ends of those that were open; a job that was deleted has no end that anybody could tell."""
        if not self._open:
            return
        made = [datetime.fromisoformat(job.created) for job in self._open.values() if job.created is not None]
        oldest = min(made) - OVERLAP if len(made) == len(self._open) else None
        for number, state in (await jobs.states(self.hub, self._open, created_from=oldest)).items():
            if state.final:
                job = self._open.pop(number)
                if state.word != DELETED:
                    yield _event_of(job, state.word)

    def _take_up(self, job: Job, made: datetime | None) -> bool:
        has_room = job.id in self._open or len(self._open) < MOST_OPEN
        if has_room:
            self._open[job.id] = OpenJob(
                id=job.id,
                site=job.site,
                workflow=job.workflow,
                queue=job.queue,
                created=None if job.created is None else job.created.isoformat(),
            )
        elif made is not None:
            self._without_room = made if self._without_room is None else min(made, self._without_room)
        return has_room

    def _note(self, number: int, made: datetime) -> None:
        self._made[number] = made
        if len(self._made) > 2 * MOST_KNOWN:
            self._made = dict(self._newest_first()[:MOST_KNOWN])

    def _newest_first(self) -> list[tuple[int, datetime]]:
        return sorted(self._made.items(), key=lambda one: (one[1], one[0]), reverse=True)

    def _move_on(self, since: datetime) -> None:
        known = self._newest_first()
        if known:
            since = max(since, known[0][1] - OVERLAP)
        if len(known) >= MOST_KNOWN:
            since = max(since, known[MOST_KNOWN - 1][1])
        if self._without_room is not None:
            since = min(since, self._without_room)
        self.cursor = self.cursor.model_copy(
            update={
                "since": since.isoformat(),
                "jobs": tuple(sorted(number for number, made in known if made >= since)),
                "open": tuple(self._open[number] for number in sorted(self._open)),
            }
        )


def _has_ended(job: Job) -> bool:
    """Tell whether the list says that a job has ended; where it does not, it is asked about like an open one."""
    return job.state is not None and state_of(job.state).final


def _event_of(job: Job | OpenJob, state: str) -> CloudEvent:
    made = datetime.fromisoformat(job.created) if isinstance(job.created, str) else job.created
    name = f"{job.id}" if made is None else f"{job.id}-{made:%Y%m%dT%H%M%S}"
    told = {"id": job.id, "site": job.site, "workflow": job.workflow, "queue": job.queue, "state": state}
    return CloudEvent(id=name, source="hub/jobs", type=HUB_JOB, subject=job.workflow, data=told)
