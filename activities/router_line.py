"""The line to the router: tells it of events, durably, and refuses while too much waits for it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from workflows.bursts import RouterState
from workflows.events import FULL_HISTORY, FULL_HISTORY_BYTES, MOST_TOGETHER, CloudEvent, HubCursor, Telling
from workflows.ids import router_id

LOOK_EVERY = 0.5
LOOK_AFTER_BYTES = 1 << 20
"""A look at how much waits holds good for so many seconds, and for so many bytes that are told meanwhile."""

MOST_TELLINGS = 1_000
"""So many callers may wait for their turn."""

_ANSWERED_WITHIN = timedelta(seconds=10)

_BUSY = "more events wait for the router than it may hold: tell it again in a few seconds"


class RouterBusy(Exception):
    """More waits for the router than may: nothing was told, tell it again in a few seconds."""


@dataclass
class RouterLine:
    """One sender; events that many callers tell at the same time travel together."""

    client: Client
    task_queue: str
    _waiting: list[tuple[Sequence[CloudEvent], asyncio.Future[None]]] = field(default_factory=list)
    _sender: asyncio.Task[None] | None = None
    _full: bool = False
    _looked: float = 0.0
    _told_since: int = 0

    async def tell(self, events: Sequence[CloudEvent]) -> None:
        """Return when all events are durable. Raises RouterBusy, or RPCError: then some of them may have been told."""
        if len(self._waiting) >= MOST_TELLINGS:
            raise RouterBusy(_BUSY)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, told))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_waiting())
        await told

    async def move_cursor(self, events: Sequence[CloudEvent], cursor: HubCursor) -> None:
        """Tell events and, with the last of them, how far the Hub was followed. Raises RouterBusy, RPCError."""
        await self._send(events, cursor)
        await self._look_again()

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                waiting = [(events, told) for events, told in self._waiting if not told.done()]
                self._waiting.clear()
                try:
                    await self._send([event for events, _ in waiting for event in events])
                except Exception as error:  # handed to every caller, none is left hanging
                    for _, told in waiting:
                        if not told.done():
                            told.set_exception(error)
                    continue
                for _, told in waiting:
                    if not told.done():
                        told.set_result(None)
                await self._look_again()  # here it delays nobody whose events are told
        finally:
            self._sender = None

    async def _send(self, events: Sequence[CloudEvent], cursor: HubCursor | None = None) -> None:
        if self._full:
            await self._look_again()
        if self._full:
            raise RouterBusy(_BUSY)
        groups = list(_together(events)) or [((), 0)]
        for place, (together, size) in enumerate(groups, 1):
            self._told_since += size
            telling = Telling(events=tuple(together), cursor=cursor if place == len(groups) else None)
            await self.client.start_workflow(
                "RouteEvents",
                RouterState(),
                id=router_id(self.task_queue),
                task_queue=self.task_queue,
                start_signal="hear",
                start_signal_args=[telling],
                rpc_timeout=_ANSWERED_WITHIN,
            )

    async def _look_again(self) -> None:
        """Learn how much waits, unless that was looked at just now; where nobody answers, what was seen last holds."""
        if time.monotonic() - self._looked < LOOK_EVERY and self._told_since < LOOK_AFTER_BYTES:
            return
        self._looked, self._told_since = time.monotonic(), 0
        router = self.client.get_workflow_handle(router_id(self.task_queue))
        try:
            found = await router.describe(rpc_timeout=_ANSWERED_WITHIN)
        except RPCError as error:
            self._full = self._full and error.status is not RPCStatusCode.NOT_FOUND
            return
        size = found.raw_description.workflow_execution_info.history_size_bytes
        self._full = found.history_length >= FULL_HISTORY or size >= FULL_HISTORY_BYTES


async def tell_router(client: Client, task_queue: str, events: Sequence[CloudEvent]) -> None:
    """Tell the router of events, durably: each is heard as soon as a worker works. Raises RouterBusy, RPCError."""
    line = RouterLine(client, task_queue)
    await line.tell(events)


def _together(events: Sequence[CloudEvent]) -> Iterator[tuple[Sequence[CloudEvent], int]]:
    """Give what fits into one value, with its bytes."""
    group: list[CloudEvent] = []
    size = 0
    for event in events:
        length = len(event.model_dump_json().encode())
        if group and size + length > MOST_TOGETHER:
            yield group, size
            group, size = [], 0
        group.append(event)
        size += length
    if group:
        yield group, size
