"""What a watcher of a pool does in the world: waits for news of its level, measures, hears of its drains' runs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.audit import Audit
from activities.heartbeat import beating
from activities.pool_board import PoolBoard, find
from activities.starting import RunEnd, Starts, start_key
from workflows.ids import desk_id
from workflows.payload import Payload
from workflows.pool_control import stuck, too_far, wants_a_decision, watched
from workflows.pools import Drain, Level, PoolBook, PoolRef, WatchEntry
from workflows.starts import Start, StartState

QUIET_BEAT = 25.0
"""Seconds between the heartbeats of a quiet watcher: a thousand of them cost a few a second."""

MISSING_AFTER = 3
"""So many measurements in a row without the pool are believed."""

_ABOVE: TypeAdapter[dict[str, datetime]] = TypeAdapter(dict[str, datetime])


class WatchRequest(Payload):
    """A pool that is quiet, its entries and its book; `missing` when the Hub did not show it last."""

    ref: PoolRef
    entries: tuple[WatchEntry, ...]
    book: PoolBook
    missing: bool = False


class News(Payload):
    """A level that wants a decision, and since when it is above the marks; without a level the pool is not there."""

    level: Level | None
    above: dict[str, datetime]


class MeasureRequest(Payload):
    """Pools to measure now, of which the first is the watched one."""

    refs: tuple[PoolRef, ...]


class Levels(Payload):
    """The levels in the order of the question; None for one that the Hub does not show."""

    levels: tuple[Level | None, ...]


class Asked(Payload):
    """A wish whose answer is waited for; `known` is the answer that was heard already."""

    site: str
    key: str
    known: StartState | None = None


class Following(Payload):
    """A run of a drain, and by what it is known to go wrong."""

    ref: PoolRef
    run: str
    entry: WatchEntry
    drain: Drain
    tranche: int


class Followed(Payload):
    """How the run ended; or, without an end, why it should be cancelled."""

    end: RunEnd | None = None
    drain: Drain
    stop: str | None = None


@dataclass
class PoolWatching:
    """The activities; `board` measures for all watchers of this worker."""

    client: Client
    audit: Audit
    board: PoolBoard
    starts: Starts
    task_queue: str

    @activity.defn
    async def watch_level(self, request: WatchRequest) -> News:
        """Wait until the pool's level wants a decision; what is known is in the heartbeat, so that it outlives us."""
        book, absent, news = request.book, 0, None
        beaten = activity.info().heartbeat_details
        with suppress(ValueError, IndexError):
            book = book.model_copy(update={"above": _ABOVE.validate_python(beaten[0])})

        def hear(level: Level | None) -> bool:
            nonlocal book, absent, news
            if level is None:
                absent += 1
                if absent < MISSING_AFTER or request.missing:
                    return False
                news = News(level=None, above={})
                return True
            absent = 0
            before, book = book, watched(book, request.entries, level)
            if before.above != book.above:
                activity.heartbeat(_ABOVE.dump_python(book.above, mode="json"))
            if request.missing or wants_a_decision(book, request.entries, level):
                news = News(level=level, above=book.above)
                return True
            return False

        every = min((one.threshold.check_every.total_seconds() for one in request.entries), default=60.0)
        async with (
            self.board.watch(request.ref, every, hear) as seat,
            _quietly_beating(lambda: _ABOVE.dump_python(book.above, mode="json")),
        ):
            await seat.wait()
        assert news is not None
        return news

    @activity.defn
    async def measure_pools(self, request: MeasureRequest) -> Levels:
        """Measure now."""
        measured = await self.board.measure()
        return Levels(levels=tuple(find(measured, ref) for ref in request.refs))

    @activity.defn
    async def hear_answer(self, asked: Asked) -> Start:
        """Wait until the desk has said what becomes of a wish, or says something new."""
        desk = self.client.get_workflow_handle(desk_id(self.task_queue, asked.site))
        wait = 0.05
        async with beating(lambda: None):
            while True:
                with suppress(RPCError, WorkflowQueryFailedError):  # the desk goes on with a fresh history, or sleeps
                    answer = await desk.query("about", asked.key, result_type=Start | None)  # type: ignore[arg-type]
                    if answer is not None and answer.state is not asked.known:
                        return Start.model_validate(answer)
                for state in (StartState.BEGUN, StartState.SKIPPED):
                    stored = await self.audit.find(start_key(asked.key, str(state)))
                    if stored is not None:
                        body = stored.body
                        return Start(key=asked.key, state=state, run=body.get("run"), why=body.get("why") or "")
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)

    @activity.defn
    async def follow_drain(self, following: Following) -> Followed:
        """Wait for the end of a drain's run, and measure meanwhile whether it gets on and does not go too far."""
        drain, stop = following.drain, None

        def hear(level: Level | None) -> bool:
            nonlocal drain, stop
            if level is None:
                return False
            if level.used < drain.lowest:
                drain = drain.model_copy(update={"lowest": level.used, "progress_at": level.at})
            if too_far(following.entry, level, following.tranche):
                stop = "the pool is more than one batch below the lower mark"
            elif stuck(drain, following.entry, level):
                stop = f"no progress since {drain.progress_at:%Y-%m-%d %H:%M:%S} UTC (give_up_after)"
            return stop is not None

        every = following.entry.threshold.check_every.total_seconds()
        async with self.board.watch(following.ref, every, hear) as seat, beating(lambda: None):
            ending = asyncio.create_task(self.starts.end_of(following.run))
            stopping = asyncio.create_task(seat.wait())
            try:
                await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
                end = ending.result() if ending.done() else None
            finally:
                for task in (ending, stopping):
                    task.cancel()
        return Followed(end=end, drain=drain, stop=None if end is not None else stop)


class _quietly_beating:  # noqa: N801 - used like a function
    """Beats rarely for as long as the block lasts."""

    def __init__(self, details: Callable[[], Any]) -> None:
        self._details = details

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _beat(self) -> None:
        while True:
            activity.heartbeat(self._details())
            await asyncio.sleep(QUIET_BEAT)
