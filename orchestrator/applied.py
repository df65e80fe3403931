"""What the engine keeps for applied policies: kinds of things, each asked and changed in the same way."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities import schedules
from activities.schedules import Found, Meanwhile, digest_of
from workflows.ids import keeper_id
from workflows.interfaces import KeepSchedules
from workflows.policy import Policy
from workflows.scheduled import Keep, ScheduledStart

__all__ = [
    "ANSWERED_WITHIN", "AS_IT_IS", "Kind", "Meanwhile", "NoWorker", "Putting", "Schedules", "There", "Wanted",
    "answered", "keeper",
]  # fmt: skip


class NoWorker(Exception):
    """No worker answers for what the engine keeps: start one (`orchestrator up` or `worker`), then do this again."""


NOBODY_ANSWERS = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)
"""What Temporal says when no worker is there to answer."""

ANSWERED_WITHIN = timedelta(seconds=30)


@asynccontextmanager
async def answered(what: str) -> AsyncIterator[None]:
    """Give a worker so long to answer in the block. Raises NoWorker."""
    try:
        async with asyncio.timeout(ANSWERED_WITHIN.total_seconds()):
            yield
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise NoWorker(f"no worker answers for {what}: {_ADVICE}") from error
    except RPCError as error:
        if error.status not in NOBODY_ANSWERS:
            raise
        raise NoWorker(f"no worker answers for {what}: {_ADVICE}") from error


_ADVICE = "start one (`orchestrator up` or `orchestrator worker`), then do this again"


@dataclass(frozen=True)
class Wanted:
    """One thing that the engine is to keep for a policy: its id, what it does in words, a digest of all that counts.

    Things with a `site` may take each other's place there, and what somebody paused stays paused then.
    """

    kind: str
    id: str
    policy: str
    digest: str
    text: str
    content: Any = field(repr=False, compare=False)
    site: str | None = None


@dataclass(frozen=True)
class There:
    """One thing that the engine keeps; one that is not `whole` was changed by somebody else.

    One that `waits` has not taken its place yet: an apply stopped halfway.
    """

    kind: str
    id: str
    policy: str
    digest: str | None
    text: str
    whole: bool = True
    waits: bool = False
    paused: bool = False
    note: str | None = None
    next_times: tuple[datetime, ...] = field(default=(), compare=False)
    site: str | None = None


@dataclass(frozen=True)
class Putting:
    """How a thing is put: what of it was there when somebody looked, and the note with which a new one is paused."""

    seen: There | None = None
    paused: str | None = None


AS_IT_IS = Putting()


class Kind(Protocol):
    """A kind of thing that the engine keeps for policies."""

    name: str

    def wanted(self, policy: Policy, version: int) -> list[Wanted]:
        """Give what a policy of this version wants."""

    async def there(self, known: Iterable[str] = (), policy: str | None = None) -> list[There]:
        """Give all of ours that the engine keeps; `known` ids may be too new for a list of the engine's.

        Who names a `policy` looks at nothing else: others may be left out where that saves questions.
        """

    async def put(self, wanted: Wanted, how: Putting = AS_IT_IS) -> None:
        """Make it so; done twice it is the same. Raises Meanwhile when somebody else changes it at the same time."""

    async def remove(self, there: There) -> None:
        """Take it away; what is gone stays so."""


class Schedules:
    """The Temporal Schedules, and the keeper that renews them."""

    name = "schedule"

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    def wanted(self, policy: Policy, version: int) -> list[Wanted]:
        """Give one Schedule for each schedule trigger at each site."""
        starts = [
            ScheduledStart(policy=policy.at(site), version=version, trigger=number)
            for site in policy.all_sites
            for number, trigger in enumerate(policy.triggers)
            if trigger.schedule is not None
        ]
        return [
            Wanted(self.name, one.id_in(self._task_queue), policy.name, digest_of(one), _text(one), one, one.site)
            for one in starts
        ]

    async def there(self, known: Iterable[str] = (), policy: str | None = None) -> list[There]:
        """Give every Schedule whose id is one of ours, or one of a policy's."""
        return [self._there(one) async for one in schedules.find(self._client, self._task_queue, known, policy=policy)]

    def _there(self, one: Found) -> There:
        start = one.start
        return There(
            kind=self.name,
            id=one.id,
            policy=start.policy.name if start is not None else schedules.policy_of(self._task_queue, one.id),
            digest=one.digest,
            text=_text(start) if start is not None else "somebody has put something else into it",
            whole=one.whole,
            waits=one.waits,
            paused=one.paused,
            note=one.note,
            next_times=one.next_times,
            site=start.site if start is not None else schedules.site_of(self._task_queue, one.id),
        )

    async def put(self, wanted: Wanted, how: Putting = AS_IT_IS) -> None:
        """Write the Schedule, see that the keeper runs, and take away the one whose place it takes."""
        seen = how.seen
        replaced = seen.id if seen is not None and seen.id != wanted.id else None
        await schedules.put(
            self._client,
            wanted.content,
            self._task_queue,
            datetime.now(UTC),
            seen=None if seen is None else seen.digest,
            replaces=replaced,
            note=how.paused,
        )
        await keeper(self._client, self._task_queue)
        await schedules.finish(self._client, self._task_queue, wanted.id, replaced)

    async def remove(self, there: There) -> None:
        """Delete the Schedule."""
        await schedules.remove(self._client, self._task_queue, there.id)


async def keeper(client: Client, task_queue: str) -> WorkflowHandle[KeepSchedules, None]:
    """Give the keeper of the schedules, which is started if it does not run."""
    return await client.start_workflow(
        KeepSchedules.run,
        Keep(looked=None),
        id=keeper_id(task_queue),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )


def _text(start: ScheduledStart) -> str:
    return f"{start.text} at {start.site}"
