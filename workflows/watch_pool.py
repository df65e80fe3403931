"""The watcher of a pool: waits until it is too full, and drains it run by run until it is not."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.audit import Audit, AuditRecord, Event
    from activities.starting import Cancel, RunEnd, Starts
    from activities.watching_pools import (
        Asked,
        Copied,
        Copying,
        Followed,
        Following,
        Levels,
        MeasureRequest,
        News,
        OnePolicy,
        PoolWatching,
        PoolWish,
        WatchRequest,
    )
    from workflows.options import CANCEL_RUN, FOLLOW, MEASURE, WATCH
    from workflows.patience import at_once
    from workflows.pool_control import (
        Act,
        Decision,
        RunOfDrain,
        after_run,
        called_off,
        decide,
        is_critical,
        not_begun,
        settle_time,
        state_of,
    )
    from workflows.pools import Level, PoolRef, WatchEntry, WatchState, WatchStatus
    from workflows.run import Person, RunState
    from workflows.starts import Start, StartState

CALLED_OFF = "a cancelled run ends its drain"
"""The patch with which a drain whose run somebody cancelled ends and says so."""

GIVES_WAY = "a copy gives way to a drain"
"""The patch with which the level is watched while files are copied."""

ASK_AGAIN = timedelta(minutes=1)
"""How long a drain waits before it asks once more for a run that the desk did not begin."""


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class WatchPool:
    """Watches one pool for as long as a policy names it."""

    @workflow.init
    def __init__(self, state: WatchState) -> None:
        self._ref = state.ref
        self._entries = {entry.key: entry for entry in state.entries}
        self._book = state.book
        self._runs = state.runs
        self._decisions = state.decisions
        self._level: Level | None = None
        self._missing = state.missing
        self._changed = False
        self._run: str | None = None
        self._waits_for: str | None = None
        self._last_act: Act | None = None

    @workflow.run
    async def run(self, state: WatchState) -> None:
        """Wait for news, decide, act; again, until nobody wants this pool watched."""
        # Started by the update that brings its first entry.
        await workflow.wait_condition(lambda: bool(self._entries) or self._changed)
        while True:
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._entries:
                return
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(self._state())
            try:
                if self._book.drain is not None or await self._news():
                    await self._decide()
            except ActivityError as error:
                # A watcher that ends by a failure is one that nobody misses until the pool is full.
                workflow.logger.exception("a decision about a pool could not be carried out")
                await self._alert(f"a decision could not be carried out: {error.cause or error}")
                await self._pause(ASK_AGAIN, "another try after a failure")

    @workflow.update
    async def put(self, entry: WatchEntry) -> None:
        """Watch for an entry from now on, instead of the one that had its place."""
        self._entries[entry.key] = entry
        self._changed = True

    @workflow.update
    async def remove(self, key: str) -> None:
        """Watch for an entry no more; what it has begun goes on to its end."""
        self._entries.pop(key, None)
        self._changed = True

    @workflow.query
    def status(self) -> WatchStatus:
        """Tell where the pool is."""
        entries = self._in_turn()
        exhausted = self._book.drain.exhausted if self._book.drain is not None else ()
        return WatchStatus(
            ref=self._ref,
            state=state_of(self._book, self._level),
            entries=entries,
            book=self._book,
            level=self._level,
            run=self._run,
            waits_for=self._waits_for,
            next_policy=next((one.policy for one in entries if one.key not in exhausted), None),
        )

    # Quiet.

    async def _news(self) -> bool:
        """Wait for a level that wants a decision; False when the entries changed first."""
        self._changed = False
        request = WatchRequest(ref=self._ref, entries=self._in_turn(), book=self._book, missing=self._missing)
        watch = workflow.start_activity_method(PoolWatching.watch_level, request, **WATCH)
        await workflow.wait_condition(lambda: watch.done() or self._changed)
        if not watch.done():
            watch.cancel()
            try:
                await watch
            except ActivityError as error:
                if not is_cancelled_exception(error):
                    workflow.logger.warning("a watch ended badly while its entries changed")
            return False
        news: News = await watch
        self._book = self._book.model_copy(update={"above": news.above})
        if (news.level is None) != self._missing:
            self._missing = news.level is None
            if self._missing:
                await self._alert("the Hub shows no pool of that name, or several: nothing is watched")
        return not self._missing

    # Deciding.

    async def _decide(self) -> None:
        entries = self._in_turn()
        others = [self._destination(name) for name in _destinations(entries)]
        found: Levels = await workflow.execute_activity_method(
            PoolWatching.measure_pools,
            MeasureRequest(refs=(self._ref, *others), policies=_policies(entries)),
            **MEASURE,
        )
        level = found.levels[0]
        if level is None:
            await self._pause(ASK_AGAIN)
            return
        self._level = level
        there = {ref.pool: one for ref, one in zip(others, found.levels[1:], strict=True) if one is not None}
        decision = decide(self._book, entries, level, there, found.site)
        self._book = decision.book
        await self._tell(decision, level)
        await self._act(decision, level)

    async def _act(self, decision: Decision, level: Level) -> None:
        entry = decision.entry
        if entry is None:
            return
        if decision.act is Act.DRAIN:
            await self._drain(entry, level, decision)
        elif decision.act is Act.PREMIGRATE:
            await self._premigrate(entry, level, decision)
        elif decision.act is Act.WAIT:
            await self._pause(entry.threshold.check_every, decision.why)
        elif decision.act is Act.SETTLE:
            await self._pause(max(settle_time(entry) / 4, timedelta(milliseconds=500)), decision.why)

    async def _drain(self, entry: WatchEntry, level: Level, decision: Decision) -> None:
        start = await self._begin(entry, level, decision)
        if start.run is None:
            if self._entries.get(entry.key) == entry:  # Else its policy was changed meanwhile: decide again at once.
                await self._pause(max(entry.threshold.check_every, ASK_AGAIN), start.why)
            return
        end, stopped = await self._follow(entry, start.run, decision.tranche)
        await self._tell_end(entry, str(end.state), end, end.trouble or "")
        if end.state is RunState.CANCELLED and not stopped and workflow.patched(CALLED_OFF):
            now, used = workflow.now(), level.used
            self._book, why = called_off(self._book, entry, start.run, used=used, now=now)
            await self._alert(why)
            return
        self._book = after_run(self._book, entry, _run_of_drain(start.run, end), before=level, now=workflow.now())

    async def _premigrate(self, entry: WatchEntry, level: Level, decision: Decision) -> None:
        start = await self._begin(entry, level, decision)
        if start.run is None:
            if self._entries.get(entry.key) == entry:
                self._book = not_begun(self._book, entry, level.at)
            return
        self._run = start.run
        try:
            end = await self._follow_copy(start.run)
        finally:
            self._run = None
        await self._tell_end(entry, str(end.state), end, end.trouble or "")

    # A run.

    async def _begin(self, entry: WatchEntry, level: Level, decision: Decision) -> Start:
        self._runs += 1
        run = f"{entry.policy}-{workflow.now():%Y%m%dT%H%M%SZ}-{workflow.uuid4().hex[:4]}"
        mark = entry.threshold
        text = f"pool {self._ref} at {level.percent:.1f}%"
        if decision.act is Act.DRAIN:
            reason = f"{text}: {decision.tranche} bytes down to {mark.lower:g}%"
        else:
            reason = f"{text}: copy what lies above {mark.premigrate:g}%"
        key = f"{workflow.info().workflow_id}/{run}"
        wish = PoolWish(
            key=key,
            run=run,
            entry=entry,
            text=text,
            reason=reason,
            enough_bytes=decision.tranche,
            room_bytes=decision.room,
            tried_in=self._book.drain.tried_in if self._book.drain is not None else (),
            urgent=decision.act is Act.DRAIN and is_critical((entry,), level),
            copies=decision.act is Act.PREMIGRATE,
        )
        await workflow.execute_activity_method(PoolWatching.wish, wish, **MEASURE)
        known: StartState | None = None
        while True:
            self._run, self._waits_for = run, "the desk's answer" if known is None else self._waits_for
            start: Start = await workflow.execute_activity_method(
                PoolWatching.hear_answer, Asked(wish=wish, known=known), **FOLLOW
            )
            self._run, self._waits_for = None, None
            if start.state is not StartState.QUEUED:
                break
            known, self._waits_for = start.state, start.why
            await self._tell_end(entry, str(start.state), None, start.why)
        if start.state is StartState.SKIPPED:
            await self._tell_end(entry, str(start.state), None, start.why)
            return start.model_copy(update={"run": None})
        return start.model_copy(update={"run": run})

    async def _follow(self, entry: WatchEntry, run: str, tranche: int) -> tuple[RunEnd, bool]:
        """Follow a run to its end; tell, too, whether it was this watcher that stopped it."""
        assert self._book.drain is not None
        mark = entry.threshold
        bounded = mark.max_utilisation is not None and mark.destination_pool is not None
        following = Following(
            ref=self._ref,
            run=run,
            entry=entry,
            drain=self._book.drain,
            tranche=tranche,
            destination=self._destination(mark.destination_pool or "") if bounded else None,
        )
        self._run = run
        try:
            followed: Followed = await workflow.execute_activity_method(PoolWatching.follow_drain, following, **FOLLOW)
            self._book = self._book.model_copy(update={"drain": followed.drain})
            if followed.end is not None:
                return followed.end, False
            await self._alert(f"run {run} is cancelled: {followed.stop}")
            return await self._stop_run(run, followed.stop or ""), True
        finally:
            self._run = None

    async def _follow_copy(self, run: str) -> RunEnd:
        if not workflow.patched(GIVES_WAY):
            end: RunEnd = await workflow.execute_activity_method(Starts.follow_run, run, **FOLLOW)
            return end
        copying = Copying(ref=self._ref, run=run, entries=self._in_turn(), book=self._book)
        copied: Copied = await workflow.execute_activity_method(PoolWatching.follow_copy, copying, **FOLLOW)
        self._book = self._book.model_copy(update={"above": copied.above})
        if copied.end is not None:
            return copied.end
        return await self._stop_run(run, "it gives way to a drain")

    async def _stop_run(self, run: str, why: str) -> RunEnd:
        person = Person(actor="engine", reason=why)
        await workflow.execute_activity_method(Starts.cancel_run, Cancel(run=run, person=person), **CANCEL_RUN)
        end: RunEnd = await workflow.execute_activity_method(Starts.follow_run, run, **FOLLOW)
        return end

    # Telling.

    async def _tell(self, decision: Decision, level: Level) -> None:
        repeated = decision.act is self._last_act and decision.act in (Act.SETTLE, Act.WAIT)
        self._last_act = decision.act
        if decision.act is not Act.REST and not repeated:
            await self._record(
                Event.POOL_DECIDED,
                act=str(decision.act),
                why=decision.why,
                policy=None if decision.entry is None else decision.entry.policy,
                numbers=dict(decision.numbers),
                measured=level.at.isoformat(),
            )
        for why in decision.alerts:
            await self._alert(why)

    async def _tell_end(self, entry: WatchEntry, state: str, end: RunEnd | None, why: str) -> None:
        await self._record(
            Event.POOL_RUN_ENDED,
            policy=entry.policy,
            state=state,
            why=why,
            planned=0 if end is None or end.plan is None else end.plan.bytes,
            done=0 if end is None else end.outcomes.bytes_done,
        )

    async def _alert(self, why: str) -> None:
        level = self._level
        await self._record(
            Event.POOL_ALERT,
            why=why,
            policies=[one.name for one in _policies(self._in_turn())],
            used=None if level is None else level.used,
            capacity=None if level is None else level.capacity,
        )

    async def _record(self, event: Event, **body: object) -> None:
        self._decisions += 1
        ref = self._ref
        body = {"site": ref.site, "pool": ref.pool, "filesystem": ref.filesystem, **body}
        key = f"{workflow.info().workflow_id}/{event}/{workflow.uuid4()}"
        record = AuditRecord(event=event, actor="engine", run=self._run, key=key, body=body)
        await at_once(Audit.record, record)

    # State.

    def _in_turn(self) -> tuple[WatchEntry, ...]:
        return tuple(sorted(self._entries.values(), key=lambda one: one.order))

    def _destination(self, name: str) -> PoolRef:
        return PoolRef(site=self._ref.site, pool=name)

    async def _pause(self, wait: timedelta, why: str | None = None) -> None:
        self._changed, self._waits_for = False, why
        try:
            await workflow.wait_condition(lambda: self._changed, timeout=wait)
        except TimeoutError:
            pass
        finally:
            self._waits_for = None

    def _state(self) -> WatchState:
        return WatchState(
            ref=self._ref,
            entries=self._in_turn(),
            book=self._book,
            runs=self._runs,
            decisions=self._decisions,
            missing=self._missing,
        )


def _destinations(entries: tuple[WatchEntry, ...]) -> list[str]:
    marks = [entry.threshold for entry in entries]
    return sorted({mark.destination_pool for mark in marks if mark.max_utilisation and mark.destination_pool})


def _policies(entries: tuple[WatchEntry, ...]) -> tuple[OnePolicy, ...]:
    found = {
        entry.policy: OnePolicy(name=entry.policy, version=entry.version, labels=entry.labels) for entry in entries
    }
    return tuple(found.values())


def _run_of_drain(run: str, end: RunEnd) -> RunOfDrain:
    """Tell the rules how a run ended; what went wrong matters only where it kept the run from trying its files."""
    counts = end.outcomes
    why = f"{end.state}" + (f": {end.trouble}" if end.trouble else "")
    kept = end.plan is None or end.trouble is not None or end.state not in (RunState.SUCCEEDED, RunState.FAILED)
    return RunOfDrain(
        run=run,
        done=counts.bytes_done,
        tried=0 if end.trouble is not None else counts.total - counts.done - counts.cancelled,
        why=f"run {run} {why}" if kept else "",
    )
