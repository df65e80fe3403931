"""What a watcher of a pool does in the world: waits for news of its level, measures, hears of its drains' runs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.applied_policies import Unreadable
from activities.audit import Audit
from activities.heartbeat import beating
from activities.holds import held_by
from activities.pool_board import PoolBoard, find
from activities.starting import RunEnd, Starts, hand_in, start_key
from workflows.ids import desk_id
from workflows.payload import Payload
from workflows.pool_control import is_critical, is_full, stuck, too_far, wants_a_decision, wants_a_drain, watched
from workflows.pools import Drain, Level, PoolBook, PoolRef, Site, WatchEntry
from workflows.run import Person, Phase, RunRequest, RunState, RunStatus
from workflows.starts import Cause, DeskStatus, OpenRun, Start, StartState, wish_for

QUIET_BEAT = 25.0
"""Seconds between the heartbeats of a quiet watcher: a thousand of them cost a few a second."""

MISSING_AFTER = 3
"""So many measurements in a row without the pool are believed."""

ANSWERED_WITHIN = timedelta(seconds=5)
"""A desk or a run that does not answer in time counts as one that is not there: the desk itself has the last word."""

FORGOTTEN_AFTER = 15.0
"""Seconds after which a desk that knows nothing of a wish is told once more."""

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


class OnePolicy(Payload):
    """A policy by what holds go by, in the version of which the watcher knows it."""

    name: str
    version: int | None = None
    labels: dict[str, str]


class MeasureRequest(Payload):
    """Pools to measure now, of which the first is the watched one, and the policies that would drain it."""

    refs: tuple[PoolRef, ...]
    policies: tuple[OnePolicy, ...] = ()


class Levels(Payload):
    """The levels in the order of the question, None for one that the Hub does not show; and what holds at the site."""

    levels: tuple[Level | None, ...]
    site: Site = Site()


class PoolWish(Payload):
    """A run that is wished for, to drain a pool or (`copies`) to copy what lies between its marks."""

    key: str
    run: str
    entry: WatchEntry
    text: str
    reason: str
    enough_bytes: int
    room_bytes: int | None
    tried_in: tuple[str, ...]
    urgent: bool
    copies: bool


class Asked(Payload):
    """A wish whose answer is waited for; `known` is the answer that was heard already."""

    wish: PoolWish
    known: StartState | None = None


class Following(Payload):
    """A run of a drain, and by what it is known to go wrong."""

    ref: PoolRef
    run: str
    entry: WatchEntry
    drain: Drain
    tranche: int
    destination: PoolRef | None = None


class Copying(Payload):
    """A run that copies what lies between the marks, and the entries that may want a drain meanwhile."""

    ref: PoolRef
    run: str
    entries: tuple[WatchEntry, ...]
    book: PoolBook


class Copied(Payload):
    """How the run ended; or, without an end, that it should give way to a drain. Since when marks are met."""

    end: RunEnd | None = None
    above: dict[str, datetime]


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
        """Measure now, and look who is held back and what their open runs have still to move."""
        site = await self._site(request.refs[0].site, request.policies)
        measured = await self.board.measure()
        return Levels(levels=tuple(find(measured, ref) for ref in request.refs), site=site)

    @activity.defn
    async def wish(self, wish: PoolWish) -> None:
        """Hand a wish to the desk of its site; the policy is the one that the watcher decided by."""
        entry = wish.entry
        policy = (await self.starts.applied.read(entry.policy_digest)).at(entry.site)
        if wish.copies:
            run = policy.run.model_copy(update={"workflow": "premigrate", "stages": ()})
            policy = policy.model_copy(update={"run": run})
        request = RunRequest(
            run=wish.run,
            policy=policy,
            version=entry.version,
            actor="engine",
            reason=wish.reason,
            enough_bytes=wish.enough_bytes,
            room_bytes=wish.room_bytes,
            tried_in=wish.tried_in,
            urgent=wish.urgent,
        )
        cause = Cause(kind="threshold", text=wish.text)
        await hand_in(
            self.client, self.task_queue, wish_for(key=wish.key, request=request, cause=cause, overlap="skip")
        )

    @activity.defn
    async def hear_answer(self, asked: Asked) -> Start:
        """Wait until the desk has said what becomes of a wish, or says something new.

        A desk that was ended by somebody has forgotten what waited: it is told again, which it hears once.
        """
        key, site = asked.wish.key, asked.wish.entry.site
        desk = self.client.get_workflow_handle(desk_id(self.task_queue, site))
        wait, heard = 0.05, time.monotonic()
        async with beating(lambda: None):
            while True:
                with suppress(RPCError, WorkflowQueryFailedError):  # the desk goes on with a fresh history, or sleeps
                    answer = await desk.query("about", key)
                    if answer is not None:
                        heard = time.monotonic()
                        if (start := Start.model_validate(answer)).state is not asked.known:
                            return start
                for state in (StartState.BEGUN, StartState.SKIPPED):
                    stored = await self.audit.find(start_key(key, str(state)))
                    if stored is not None:
                        body = stored.body
                        return Start(key=key, state=state, run=body.get("run"), why=body.get("why") or "")
                if time.monotonic() - heard > FORGOTTEN_AFTER:
                    if await self._is_there(asked.wish.run):  # It had begun when its desk was ended.
                        return Start(key=key, state=StartState.BEGUN, run=asked.wish.run)
                    await self.wish(asked.wish)
                    heard = time.monotonic()
                await asyncio.sleep(wait)
                wait = min(wait * 2, 5.0)

    @activity.defn
    async def follow_drain(self, following: Following) -> Followed:
        """Wait for the end of a drain's run, and measure meanwhile whether it gets on and does not go too far."""
        async with beating(lambda: None):
            ending = asyncio.create_task(self.starts.end_of(following.run))
            try:
                drain = following.drain
                while True:
                    drain, stop = await self._until_stop(following, drain, ending)
                    if ending.done():
                        return Followed(end=ending.result(), drain=drain)
                    if stop is not None:
                        return Followed(drain=drain, stop=stop)
            finally:
                ending.cancel()

    @activity.defn
    async def follow_copy(self, copying: Copying) -> Copied:
        """Wait for the end of a copying run, or until the pool is so full that a drain should begin instead."""
        book = copying.book

        def hear(level: Level | None) -> bool:
            nonlocal book
            if level is None:
                return False
            book = watched(book, copying.entries, level)
            return wants_a_drain(book, copying.entries, level)

        every = min((one.threshold.check_every.total_seconds() for one in copying.entries), default=60.0)
        async with self.board.watch(copying.ref, every, hear) as seat, beating(lambda: None):
            ending = asyncio.create_task(self.starts.end_of(copying.run))
            filling = asyncio.create_task(seat.wait())
            try:
                await asyncio.wait((ending, filling), return_when=asyncio.FIRST_COMPLETED)
                return Copied(end=ending.result() if ending.done() else None, above=book.above)
            finally:
                for task in (ending, filling):
                    task.cancel()

    async def _until_stop(
        self, following: Following, drain: Drain, ending: asyncio.Task[RunEnd]
    ) -> tuple[Drain, str | None]:
        """Wait for the run's end or a reason to stop it; none of both when the run had no chance to get on."""
        entry, stop, stands = following.entry, None, False
        critical: Level | None = None

        def hear(level: Level | None) -> bool:
            nonlocal drain, stop, stands, critical
            if level is None:
                return False
            if level.used < drain.lowest:
                drain = drain.model_copy(update={"lowest": level.used, "progress_at": level.at})
            if too_far(entry, level, following.tranche):
                stop = "the pool is more than one batch below the lower mark"
            stands = stuck(drain, entry, level)
            critical = level if not drain.urgent and is_critical((entry,), level) else None
            return stands or critical is not None or stop is not None

        def hear_destination(level: Level | None) -> bool:
            nonlocal stop
            if level is not None and is_full(entry, level):
                stop = f"{entry.threshold.destination_pool} is at its max_utilisation"
            return stop is not None

        every = entry.threshold.check_every.total_seconds()
        async with AsyncExitStack() as seats:
            heard = [await seats.enter_async_context(self.board.watch(following.ref, every, hear))]
            if following.destination is not None:
                seat = self.board.watch(following.destination, every, hear_destination)
                heard.append(await seats.enter_async_context(seat))
            waiting = [asyncio.create_task(seat.wait()) for seat in heard]
            try:
                await asyncio.wait((ending, *waiting), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        if ending.done() or stop is not None:
            return drain, stop
        if critical is not None:
            return await self._hurry(following, drain, critical), None
        if stands and not await self._gets_on(following.run):
            return drain.model_copy(update={"progress_at": datetime.now(UTC)}), None
        return drain, f"no progress since {drain.progress_at:%Y-%m-%d %H:%M:%S} UTC (give_up_after)"

    async def _hurry(self, following: Following, drain: Drain, level: Level) -> Drain:
        """Let the run mind neither windows nor rates any more; one that does not answer is told at the next look."""
        person = Person(actor="engine", reason=f"pool {following.ref} at {level.percent:.1f}% is critical")
        try:
            async with asyncio.timeout(ANSWERED_WITHIN.total_seconds()):
                await self.starts.client.get_workflow_handle(following.run).execute_update("hurry", person)
        except (TimeoutError, RPCError, WorkflowUpdateFailedError):
            return drain
        return drain.model_copy(update={"urgent": True})

    async def _gets_on(self, run: str) -> bool:
        """Tell whether a run is at work: not one that still lists files, that is paused, or that waits for a person."""
        status = await self._status(run)
        return status is None or (status.phase is Phase.WORK and status.state is not RunState.PAUSED)

    async def _site(self, site: str, policies: tuple[OnePolicy, ...]) -> Site:
        """Look at holds and open runs of policies at a site."""
        held, busy, in_flight = {}, {}, 0
        standing = await asyncio.to_thread(self.starts.holds.standing) if policies else []
        for one in policies:
            hold = held_by(standing, one.name, site, one.labels)
            if hold is not None:
                held[one.name] = str(hold)
            elif (why := await self._overtaken(one)) is not None:
                held[one.name] = why
        names = {one.name for one in policies}
        for run in [run for run in await self._open_runs(site) if run.policy in names] if names else ():
            status = await self._status(run.run)
            if status is None or status.state.final:
                continue
            busy[run.policy] = f"run {run.run} is open"
            if status.plan is not None and status.phase is Phase.WORK and status.state is RunState.RUNNING:
                in_flight += max(0, status.plan.bytes - status.counts.bytes_done)
        return Site(in_flight=in_flight, held=held, busy=busy)

    async def _overtaken(self, one: OnePolicy) -> str | None:
        """Say that a newer version of a policy is applied: an apply is under way, or stopped before it came here."""
        if one.version is None:
            return None
        try:
            newest = await self.starts.applied.after(one.name, one.version)
        except Unreadable as error:
            return str(error)
        if newest is None:
            return None
        return (
            f"policy {one.name} was changed (version {newest.number}) and this pool still has version "
            f"{one.version}: `orchestrator apply` goes on where it was"
        )

    async def _open_runs(self, site: str) -> tuple[OpenRun, ...]:
        desk = self.client.get_workflow_handle(desk_id(self.task_queue, site))
        try:
            return DeskStatus.model_validate(await desk.query("status", rpc_timeout=ANSWERED_WITHIN)).open
        except (RPCError, WorkflowQueryFailedError):  # no desk has been needed yet, or it takes a fresh history
            return ()

    async def _is_there(self, run: str) -> bool:
        try:
            await self.client.get_workflow_handle(run).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _status(self, run: str) -> RunStatus | None:
        handle = self.client.get_workflow_handle(run)
        try:
            return RunStatus.model_validate(await handle.query("status", rpc_timeout=ANSWERED_WITHIN))
        except (RPCError, WorkflowQueryFailedError):
            return None


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
