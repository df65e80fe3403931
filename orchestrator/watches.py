"""The watches: one watcher for each pool that applied policies name, with an entry for each threshold."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowHistory,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.applied_policies import keep_policy
from activities.storage import Storage
from orchestrator.applied import ANSWERED_WITHIN, AS_IT_IS, Putting, There, Wanted, answered
from workflows import units
from workflows.ids import watch_id, watch_prefix
from workflows.interfaces import RunPolicy, WatchPool
from workflows.policy import Policy
from workflows.pools import PoolRef, WatchEntry, WatchState, WatchStatus, watch_entries

_AT_ONCE = 20
_WHAT = "the watched pools"


class Watches:
    """The thresholds of policies: entries of watchers."""

    name = "watch"

    def __init__(self, client: Client, task_queue: str, storage: Storage) -> None:
        self._client = client
        self._task_queue = task_queue
        self._storage = storage

    def wanted(self, policy: Policy, version: int) -> list[Wanted]:
        """Give one entry for each threshold at each site."""
        return [
            Wanted(self.name, self._id(entry.ref, entry), policy.name, entry.digest, _text(entry), (entry, policy))
            for entry in watch_entries(policy, version)
        ]

    async def there(self, known: Iterable[str] = (), policy: str | None = None) -> list[There]:
        """Give every entry of every watcher of ours; watchers of `known` entries may be too new for Temporal's list."""
        return [
            There(self.name, self._id(status.ref, entry), entry.policy, entry.digest, _text(entry))
            for status in await self.all(known)
            for entry in status.entries
        ]

    async def put(self, wanted: Wanted, how: Putting = AS_IT_IS) -> None:
        """Keep the policy where runs find it, and bring the entry to its watcher, which is started if need be."""
        entry, policy = wanted.content
        keep_policy(self._storage, policy)
        ref = entry.ref
        start = WithStartWorkflowOperation(
            WatchPool.run,
            WatchState(ref=ref),
            id=self._watch_id(ref),
            task_queue=self._task_queue,
            static_summary=f"pool {ref}"[:200],
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        async with answered(_WHAT):
            await self._client.execute_update_with_start_workflow(WatchPool.put, entry, start_workflow_operation=start)

    async def remove(self, there: There) -> None:
        """Take the entry from its watcher; one that is gone stays so."""
        watcher, _, key = there.id.partition("#")
        try:
            async with answered(_WHAT):
                await self._client.get_workflow_handle(watcher).execute_update(WatchPool.remove, key)
        except WorkflowUpdateFailedError:
            return
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def all(self, known: Iterable[str] = ()) -> list[WatchStatus]:
        """Ask every watcher of ours where its pool is."""
        prefix = watch_prefix(self._task_queue)
        query = 'WorkflowType = "WatchPool" AND ExecutionStatus = "Running"'
        ids = [one.partition("#")[0] for one in known if one.startswith(prefix)]
        ids += [one.id async for one in self._client.list_workflows(query) if one.id.startswith(prefix)]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(id_: str) -> WatchStatus | None:
            async with gate:
                try:
                    async with answered(_WHAT):
                        watcher = self._client.get_workflow_handle(id_)
                        status = await watcher.query(WatchPool.status, rpc_timeout=ANSWERED_WITHIN)
                    return status if status.entries else None  # one that has ended answers too
                except WorkflowQueryFailedError:
                    return None
                except RPCError as error:
                    if error.status is RPCStatusCode.NOT_FOUND:  # it ended meanwhile
                        return None
                    raise

        found = await asyncio.gather(*(ask(id_) for id_ in sorted(set(ids))))
        return [one for one in found if one is not None]

    async def what_runs_wait_for(self, statuses: Iterable[WatchStatus]) -> dict[str, str]:
        """Ask the runs that drain pools what they wait for; those that are at work, or over, are left out."""
        found = {}
        for run in [status.run for status in statuses if status.run is not None]:
            with suppress(RPCError, WorkflowQueryFailedError):  # not begun yet, or forgotten
                handle = self._client.get_workflow_handle(run)
                status = await handle.query(RunPolicy.status, rpc_timeout=ANSWERED_WITHIN)
                if status.waits_for is not None:
                    found[run] = status.waits_for
        return found

    async def history(self, ref: PoolRef) -> WorkflowHistory:
        """Give what Temporal keeps of a watcher."""
        return await self._client.get_workflow_handle(self._watch_id(ref)).fetch_history()

    def _watch_id(self, ref: PoolRef) -> str:
        return watch_id(self._task_queue, ref.site, ref.filesystem, ref.pool)

    def _id(self, ref: PoolRef, entry: WatchEntry) -> str:
        return f"{self._watch_id(ref)}#{entry.key}"


def _text(entry: WatchEntry) -> str:
    mark = entry.threshold
    marks = f"{units.percent_text(mark.upper)} -> {units.percent_text(mark.lower)}"
    return f"pool {mark.pool} {marks} at {entry.site}"
