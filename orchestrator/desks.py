"""The desks of an installation, as the doors reach them: which there are, what is in their books, a nudge to look."""

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from orchestrator.runs import of_queue
from workflows.ids import desk_id
from workflows.interfaces import RunDesk

ANSWER_S = 30.0


class Desks:
    """The open desks of one installation; a desk that was never needed is not there."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._queue = task_queue

    async def sites(self) -> set[str]:
        """Name the sites at which runs have begun."""
        return {desk.removeprefix(desk_id(self._queue, "")) async for desk in self._ids()}

    async def look_again(self) -> None:
        """Let every desk look at what waits: a hold was lifted, or a policy applied or removed."""
        async for desk in self._ids():
            try:
                await self._client.get_workflow_handle(desk).signal(RunDesk.look)
            except RPCError:  # It is no desk any more; a desk that is opened looks by itself.
                continue

    async def open_runs(self) -> AsyncIterator[str]:
        """Name the runs that stand open in the desks' books, also those that began a moment ago."""
        async for desk in self._ids():
            for run in await self._in_its_book(desk):
                yield run

    async def _in_its_book(self, desk: str) -> Iterable[str]:
        handle = self._client.get_workflow_handle_for(RunDesk.run, desk)
        try:
            status = await handle.query(RunDesk.status, rpc_timeout=timedelta(seconds=ANSWER_S))
        except RPCError:  # Without a worker it begins nothing either.
            return ()
        return [run.run for run in status.open]

    async def _ids(self) -> AsyncIterator[str]:
        query = f"WorkflowType = 'RunDesk' AND ExecutionStatus = 'Running' AND {of_queue(self._queue)}"
        async for desk in self._client.list_workflows(query):
            if desk.id.startswith(desk_id(self._queue, "")):
                yield desk.id
