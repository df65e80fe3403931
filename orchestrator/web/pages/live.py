"""What changes while somebody looks: open runs, pools and the next starts, each asked once for all who look."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import Any

from activities.applied_policies import policy_place
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored
from activities.storage import Missing, open_storage
from orchestrator.engine import Engine
from orchestrator.planned_starts import planned_starts
from orchestrator.pool_views import PoolView, pool_views
from orchestrator.reporting.standing import Standing, Standings
from orchestrator.reporting.story import JobTime, Story
from orchestrator.runs import RunSummary, list_runs
from orchestrator.versions import Version, VersionError
from orchestrator.web.pages.fresh import Fresh
from workflows.policy import Policy

MOST_OPEN = 200
"""Of more open runs the list is cut."""
MOST_FOLLOWED = 64
AHEAD = timedelta(days=14)
"""So far ahead next starts are looked for."""
_PAGE = 5000


@dataclass(frozen=True)
class NextStart:
    """The next start of a policy by the clock."""

    policy: str
    at: datetime
    local: datetime
    zone: str
    note: str | None


@dataclass(frozen=True)
class Told:
    """A run's story as it was at one moment."""

    run: str
    started: Stored | None
    plan: dict[str, Any] | None
    ended: Stored | None
    approvals: list[Stored]
    changes: list[Stored]
    changes_in_all: int
    rounds: list[Stored]
    bins: list[tuple[float, int, int, int]]
    bin_s: float
    jobs: int
    job_states: list[tuple[str, int]]
    slowest: list[JobTime]
    records: int


@dataclass
class _Read:
    """A policy of an applied version, and its next start as it was computed last."""

    policy: Policy
    next: NextStart | None = None
    known_until: datetime = field(default_factory=lambda: datetime.min.replace(tzinfo=UTC))


class Live:
    """The shared looks at one installation."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.storage = open_storage(engine.settings.storage)
        self.open_runs = Fresh(self._open_runs, fresh=0.8, stale=15)
        self.pools = Fresh(self._pools, fresh=5, stale=120)
        self.versions = Fresh(self._versions, fresh=3, stale=60)
        self.next_starts = Fresh(self._next_starts, fresh=20, stale=600)
        self._standings: OrderedDict[str, tuple[Standings, Fresh[Standing]]] = OrderedDict()
        self._stories: OrderedDict[str, tuple[Story, int]] = OrderedDict()
        self._policies: dict[str, _Read] = {}
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        """Let go of everything."""
        for kept in (self.open_runs, self.pools, self.versions, self.next_starts):
            await kept.close()
        while self._standings:
            await self._drop(next(iter(self._standings)))

    async def standing(self, run: str) -> Standing:
        """Say where an open run stands. Raises NoSuchRun and RunError."""
        if run not in self._standings:
            standings = Standings(self.engine.client, self.engine.settings, run)
            self._standings[run] = (standings, Fresh(standings.look, fresh=0.5, stale=3))
        self._standings.move_to_end(run)
        while len(self._standings) > MOST_FOLLOWED:
            await self._drop(next(iter(self._standings)))
        return await self._standings[run][1].get()

    def changed(self, run: str) -> None:
        """Look anew: somebody steered this run."""
        if run in self._standings:
            self._standings[run][1].forget()
        self.open_runs.forget()

    async def story(self, run: str) -> Told:
        """Tell what the audit says of a run; what was read before is not read again."""
        async with self._reading:
            story, after = self._stories.get(run, (Story(run), 0))
            after, told = await asyncio.to_thread(_read_on, self.engine.log, story, after)
            if story.records:
                self._stories[run] = (story, after)
                self._stories.move_to_end(run)
            while len(self._stories) > MOST_FOLLOWED:
                self._stories.popitem(last=False)
            return told

    async def standings_of(self, runs: Iterable[str]) -> dict[str, Standing | Exception]:
        """Ask some runs at once; what one cannot tell is nothing to the others."""
        names = list(runs)
        found = await asyncio.gather(*(self.standing(run) for run in names), return_exceptions=True)
        told: dict[str, Standing | Exception] = {}
        for name, one in zip(names, found, strict=True):
            if isinstance(one, BaseException) and not isinstance(one, Exception):
                raise one
            told[name] = one
        return told

    async def policy(self, version: Version) -> Policy:
        """Read the policy of a version; versions never change, each is read once. Raises VersionError and Missing."""
        return (await asyncio.to_thread(self._read, version)).policy

    async def _drop(self, run: str) -> None:
        standings, kept = self._standings.pop(run)
        await kept.close()
        standings.close()

    async def _open_runs(self) -> list[RunSummary]:
        return await list_runs(self.engine.client, self.engine.settings.task_queue, is_open=True, limit=MOST_OPEN)

    async def _pools(self) -> list[PoolView]:
        statuses = await self.engine.watches.all()
        waits = await self.engine.watches.what_runs_wait_for(statuses)
        return await asyncio.to_thread(pool_views, self.engine.settings, statuses, waits)

    async def _versions(self) -> dict[str, Version]:
        return await asyncio.to_thread(self.engine.versions.latest)

    async def _next_starts(self) -> dict[str, NextStart]:
        versions = await self.versions.get()
        return await asyncio.to_thread(self._computed, [one for one in versions.values() if not one.removed])

    def _computed(self, versions: list[Version]) -> dict[str, NextStart]:
        now, found = datetime.now(UTC), {}
        for version in versions:
            try:
                read = self._read(version)
            except (Missing, ValueError):
                continue
            if read.known_until <= now:
                read.next = _next_start(read.policy, now)
                read.known_until = read.next.at if read.next else now + AHEAD / 2
            if read.next is not None:
                found[version.policy] = read.next
        digests = {version.digest for version in versions}
        self._policies = {digest: one for digest, one in self._policies.items() if digest in digests}
        return found

    def _read(self, version: Version) -> _Read:
        if version.digest is None:
            raise VersionError(f"version {version.number} of {version.policy} is its removal")
        if version.digest not in self._policies:
            text = self.storage.get(policy_place(version.digest))
            self._policies[version.digest] = _Read(Policy.model_validate_json(text))
        return self._policies[version.digest]


def soonest(starts: dict[str, NextStart], most: int) -> list[NextStart]:
    """Give the starts that come first."""
    now = datetime.now(UTC)
    return nsmallest(most, (one for one in starts.values() if one.at > now), key=lambda one: one.at)


def _next_start(policy: Policy, now: datetime) -> NextStart | None:
    if not policy.enabled:
        return None
    start = next(planned_starts(policy, now, now + AHEAD), None)
    if start is None:
        return None
    return NextStart(policy.name, start.time.at, start.time.local, start.schedule.timezone, start.time.note)


def _read_on(log: AuditLog, story: Story, after: int) -> tuple[int, Told]:
    while log.is_there() and (records := log.records(run=story.run, after=after, limit=_PAGE)):
        for record in records:
            story.take(record)
        after = records[-1].seq
    return after, Told(
        run=story.run,
        started=story.started,
        plan=story.plan,
        ended=story.ended,
        approvals=list(story.approvals),
        changes=list(story.changes),
        changes_in_all=story.changes_in_all,
        rounds=list(story.rounds),
        bins=story.throughput.bins(),
        bin_s=story.throughput.width,
        jobs=story.jobs,
        job_states=story.job_states.most_common(),
        slowest=story.slowest,
        records=story.records,
    )
