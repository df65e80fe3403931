"""Keeps the files of the batches in a worker's hands claimed for their runs, and asks the Hub about lapsed claims.

A claim lapses when its workers have died or its run was terminated; the Hub may work on the files all the same. So
nobody gets them before the Hub has said that no job of it has them in hand. Whoever meets such a claim asks; a worker
that has batches in hand also looks for those that nobody meets, so that none stays for ever.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar

from temporalio.exceptions import ApplicationError

from activities.audit import Audit, AuditError, WrongDatabase
from activities.claims import LEASE, Change, Claim, Claims, Full, Holder, Overtaken, Place, is_covered
from activities.errors import HubError, NotFound, Permanent, ServerFault
from activities.hub import jobs, sites
from activities.hub.client import Hub
from activities.hub.clock import CLOCK_SLACK, looked_from
from activities.hub.jobs import Job
from activities.limits import Lane, Limit
from activities.manifests import Batch
from activities.settled import FileException
from activities.submission import job_key

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

RENEW_EVERY = LEASE / 5
"""So many renewals may fail, one after the other, before a claim lapses."""

_MOST_A_COMMIT = 50
_MOST_A_SWEEP = 200
_SWEEP_EVERY = 5.0
"""Seconds between two looks, in one small table, for claims that have lapsed."""


class Claiming:
    """The claims as the activities of one worker use them; one renewal serves all batches in hand."""

    def __init__(self, hub: Hub, audit: Audit, claims: Claims, every: timedelta = RENEW_EVERY) -> None:
        self._hub = hub
        self._audit = audit
        self._claims = claims
        self._every = every
        self._waiting: list[tuple[Change[Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._in_hand: Counter[Place] = Counter()
        self._jobs: dict[Place, int] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._swept = float("-inf")

    async def claim(
        self,
        place: Place,
        site: str,
        batch: Batch,
        *,
        trees: bool = False,
        job: int | None = None,
        turn: int = 0,
        again: bool = False,
        lane: Lane | None = None,
        limits: Sequence[Limit] = (),
    ) -> tuple[Claim, list[FileException]] | Full:
        """Claim the files of a batch, and tell which of them another run holds; `job` is one that shall run again.

        `turn` is the attempt's place among those of the batch, `again` that it had claimed before. Full while one of
        the `limits` has as many other batches in flight as it allows. Raises Overtaken for one that a later attempt
        has followed, and Retryable while the Hub cannot say whether it still works on files that a lapsed claim names.
        """
        while True:
            taken = await self._take(
                place,
                site,
                batch,
                trees=trees,
                job=job,
                turn=turn,
                again=again,
                silencing=False,
                lane=lane,
                limits=limits,
            )
            if isinstance(taken, Full):
                return taken
            claim, others = taken
            again = True
            lapsed = {holder.id: holder for holder in others.values() if holder.lapsed}
            if not lapsed:
                break
            for holder in lapsed.values():
                await self._settle(holder)
        return claim, [
            FileException(ordinal, "skipped", "in_other_run", f"run {others[path].place.run} holds it")
            for ordinal, path in zip(batch.ordinals, batch.paths, strict=True)
            if path in others
        ]

    async def take_over(
        self,
        place: Place,
        site: str,
        batch: Batch,
        *,
        trees: bool = False,
        job: int | None = None,
        turn: int = 0,
        lane: Lane | None = None,
    ) -> Claim:
        """Claim what can be had at once, so that no earlier attempt of the batch sends anything any more.

        The claim tells for how long none has; one that was taken over and died before it sent counts too.
        """
        taken = await self._take(
            place, site, batch, trees=trees, job=job, turn=turn, again=False, silencing=True, lane=lane, limits=()
        )
        assert not isinstance(taken, Full), "nothing bounds it"
        return taken[0]

    async def _take(
        self,
        place: Place,
        site: str,
        batch: Batch,
        *,
        trees: bool,
        job: int | None,
        turn: int,
        again: bool,
        silencing: bool,
        lane: Lane | None,
        limits: Sequence[Limit],
    ) -> tuple[Claim, dict[str, Holder]] | Full:
        prepare = partial(self._claims.taking, place, site, batch.paths, trees=trees, job=job, turn=turn, again=again)
        taking = await asyncio.to_thread(prepare, silencing=silencing, lane=lane, limits=limits)
        taken = await self._change(taking)
        if isinstance(taken, Overtaken):
            raise taken
        return taken

    async def still_has(self, claim: Claim) -> bool:
        """Tell whether a claim counts for a while yet; False when another run or a later attempt may have the files."""
        return await self._call(self._claims.still_has, claim)

    async def may_send(self, claim: Claim) -> bool:
        """Tell whether a claim counts for a while yet, and note that its batch may be sent from now on."""
        return await self._call(self._claims.may_send, claim)

    async def release(self, place: Place, turn: int | None = None) -> None:
        """Give the files of a batch back, unless a later attempt than that of `turn` has them."""
        await self._change(self._claims.releasing(place, turn))

    @asynccontextmanager
    async def keeping(self, place: Place, job: int | None = None) -> AsyncIterator[None]:
        """Keep what a batch has claimed, or will claim, for as long as the block lasts."""
        self._in_hand[place] += 1
        if job is not None:
            self._jobs[place] = job
        self._sweep_now_and_then()
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            self._in_hand[place] -= 1
            if not self._in_hand[place]:
                del self._in_hand[place]
                self._jobs.pop(place, None)

    async def _renew(self) -> None:
        while self._in_hand:
            if (
                self._sweeping is None or self._sweeping.done()
            ):  # Beside us: a Hub that is away must not keep us waiting.
                self._sweeping = asyncio.create_task(self._sweep())
            await asyncio.sleep(self._every.total_seconds())
            try:
                await self._call(self._claims.renew, {place: self._jobs.get(place) for place in self._in_hand})
            except (AuditError, ApplicationError) as error:
                _log.warning("claims could not be renewed: %s", error)
            except Exception:  # whatever it is, nobody else would go on renewing
                _log.exception("renewing claims failed")

    def _sweep_now_and_then(self) -> None:
        """Begin a sweep, beside everything else: a Hub that is away must keep nobody waiting."""
        now = time.monotonic()
        if now - self._swept >= _SWEEP_EVERY and (self._sweeping is None or self._sweeping.done()):
            self._swept = now
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Give back what lapsed claims name and no job has; one that cannot be settled now waits for the next sweep."""
        try:
            for holder in await self._call(self._claims.lapsed, _MOST_A_SWEEP):
                if holder.place in self._in_hand:
                    continue
                try:
                    await self._settle(holder)
                except (AuditError, HubError) as error:
                    _log.info("the claim of %s could not be settled: %s", holder.place, error)
        except Exception:  # it is nobody's answer that this prepares
            _log.exception("sweeping claims failed")

    async def _settle(self, holder: Holder) -> None:
        """Drop a lapsed claim, or prolong it while the Hub works on its files."""
        await self._call(self._claims.drop if await self._is_over(holder) else self._claims.prolong, holder)

    async def _change(self, change: Change[T]) -> T:
        """Change the claims; the changes that arrive while a commit is under way share the next one."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        return await answer

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_MOST_A_COMMIT], self._waiting[_MOST_A_COMMIT:]
                try:
                    answers = await self._call(self._claims.together, [change for change, _ in group])
                except Exception as error:  # handed to every waiter, none is left hanging
                    for _, answer in group:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                for (_, answer), found in zip(group, answers, strict=True):
                    if not answer.done():
                        answer.set_result(found)
        finally:
            self._writing = None

    async def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(call, *args, **kwargs)
        except WrongDatabase as error:
            raise ApplicationError(str(error), type=type(error).__name__, non_retryable=True) from error

    # What the Hub says about a claim that has lapsed.

    async def _is_over(self, holder: Holder) -> bool:
        """Tell whether the Hub has no job that may have the holder's files in hand."""
        since = holder.since - CLOCK_SLACK
        try:
            if holder.job is not None and not await self._has_ended(holder.job, holder.site):
                return False
            keys = await asyncio.to_thread(self._claims.keys, holder)
            created_from = await looked_from(self._hub, holder.since)
            async for job in jobs.find(self._hub, holder.site, created_from=created_from):
                if not await self._has_ended(job.id, holder.site) and await self._may_be_of(job, holder, keys, since):
                    return False
        except Permanent:
            return False
        return True

    async def _has_ended(self, job: int, site: str) -> bool:
        try:
            return (await jobs.state(self._hub, job)).final
        except NotFound as error:
            if await sites.answers(self._hub, site):
                return True
            raise ServerFault("the Hub finds neither a job nor its own site: a proxy may speak for it") from error

    async def _may_be_of(self, job: Job, holder: Holder, keys: set[bytes], since: datetime) -> bool:
        """Tell whether a job that runs may be the holder's; one that shows no paths yet may be."""
        stored = await self._audit.find(job_key(holder.site, job.id))
        if stored is not None and datetime.fromisoformat(stored.at) >= since:
            return Place(stored.run or "", stored.body["round"], stored.body["batch"]) == holder.place
        unseen = True
        async for path in jobs.paths(self._hub, job.id):
            if is_covered(holder.site, path, keys):
                return True
            unseen = False
        return unseen
