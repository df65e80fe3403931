"""The notifier: follows the audit, watches what is late, and sends; in every worker, at work in one of them."""

import asyncio
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.ledger.records import AuditError, AuditRecord
from activities.metrics import count_record
from activities.notices.digest import Digests
from activities.notices.following import MOST_RECORDS, Follower
from activities.notices.grouping import Waiting, ready
from activities.notices.outbox import NotHeld, Outbox, TargetHealth
from activities.notices.sending import send
from activities.notices.targets import UNKNOWN, Target, Targets
from activities.notices.watching import Watch
from activities.notices.wording import worded
from activities.pool_samples import PoolSamples

LOOKS_EVERY = 2.0
WATCHES_EVERY = 30.0
TIDIES_EVERY = 3600.0
ANSWERS_WITHIN = 60.0
"""Seconds that a service may take for one message; shorter than a sender's death is waited for."""

NO_TARGET = "no target of this name is in the settings"

_log = logging.getLogger(__name__)


class Notifier:
    """Works until it is cancelled; nothing that happens to it stops the worker or a run."""

    def __init__(self, log: AuditLog, outbox: Outbox, targets: Targets, samples: PoolSamples) -> None:
        self._log = log
        self._outbox = outbox
        self._targets = targets
        self._follower = Follower(log, outbox, targets, count_record)
        self._watch = Watch(log, outbox, targets)
        self._digests = Digests(log, outbox, targets, samples)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._watched = self._tidied = float("-inf")

    async def work(self) -> None:
        """Look again and again."""
        trouble = ""
        try:
            while True:
                try:
                    more = await self.look()
                    trouble = ""
                except (AuditError, NotHeld) as error:
                    more = False
                    if str(error) != trouble:  # Said once for an outage, not again and again.
                        _log.warning("notices wait: %s", error or "another process sends them")
                    trouble = str(error)
                except Exception:
                    _log.exception("a look at the notices failed")
                    more = False
                    await asyncio.sleep(WATCHES_EVERY)
                if not more:
                    await asyncio.sleep(LOOKS_EVERY)
        finally:
            await self._stop()

    async def look(self) -> bool:
        """Look once, if this is the process that sends; True when there is more of the audit to follow at once."""
        if not await asyncio.to_thread(self._outbox.hold, equipped=bool(self._targets.targets)):
            return False
        followed = await asyncio.to_thread(self._follower.follow)
        if followed == MOST_RECORDS:
            return True  # What is late shows only at the end of the audit.
        if time.monotonic() > self._watched + WATCHES_EVERY:
            await asyncio.to_thread(self._look_around)
            self._watched = time.monotonic()
        await self._send_what_is_ready()
        return False

    def _look_around(self) -> None:
        self._watch.look()
        self._digests.look()
        if time.monotonic() > self._tidied + TIDIES_EVERY:
            self._outbox.tidy()
            self._tidied = time.monotonic()

    async def _send_what_is_ready(self) -> None:
        for gone, message in await asyncio.to_thread(self._outbox.unresolved):
            await asyncio.to_thread(self._tell_given_up, gone, message)
        for name, how in (await asyncio.to_thread(self._outbox.health)).items():
            if not how.waiting:
                continue
            target = self._targets.targets.get(name, UNKNOWN)
            if (how.failures or target is UNKNOWN) and self._is_old(how, target):
                await asyncio.to_thread(self._outbox.give_up, name, target.give_up_after)
            if target is not UNKNOWN and name not in self._sending:
                await self._send_to(name, target, how)

    def _is_old(self, how: TargetHealth, target: Target) -> bool:
        return how.oldest is not None and time.time() - how.oldest.timestamp() > target.give_up_after.total_seconds()

    async def _send_to(self, name: str, target: Target, how: TargetHealth) -> None:
        waiting, last, lately, now = await asyncio.to_thread(self._outbox.waiting, name)
        if how.next_try is not None and now < how.next_try.timestamp() * 1_000_000:
            return
        found = ready(waiting, last, lately, target, now)
        if found:
            task = asyncio.create_task(self._send_all(name, target, found))
            self._sending[name] = task
            task.add_done_callback(lambda _: self._sending.pop(name, None))

    async def _send_all(self, name: str, target: Target, found: list[list[Waiting]]) -> None:
        try:
            for one in found:
                if not await self._send(name, target, [waiting.id for waiting in one]):
                    return
        except (AuditError, NotHeld) as error:
            # What was under way is sent once more later: whether it arrived could not be recorded.
            _log.warning("notices to %s wait: %s", name, error or "another process sends them")
        except Exception:
            _log.exception("notices to %s could not be sent", name)

    async def _send(self, name: str, target: Target, ids: list[int]) -> bool:
        message, notices = await asyncio.to_thread(self._outbox.claim, name, ids)
        if not notices:
            return True
        # A thread of its own for each target: one that hangs holds up nobody else.
        threads = self._threads.setdefault(name, ThreadPoolExecutor(1, thread_name_prefix=f"notices-{name}"))
        sending = asyncio.get_running_loop().run_in_executor(
            threads, send, target.url.get_secret_value(), worded(notices)
        )
        try:
            why = await asyncio.wait_for(sending, ANSWERS_WITHIN)
        except TimeoutError:
            self._threads.pop(name).shutdown(wait=False)
            why = f"no answer within {ANSWERS_WITHIN:.0f} s"
        if why is None:
            await asyncio.to_thread(self._outbox.sent, name, message)
            return True
        _log.warning("notices to %s wait, it does not take them: %s", name, why)
        await asyncio.to_thread(self._outbox.failed, name, message, why)
        return False

    def _tell_given_up(self, target: str, message: str) -> None:
        notices = self._outbox.in_message(message)
        how = self._outbox.health().get(target)
        error = (how.error if how else None) or (NO_TARGET if target not in self._targets.targets else None)
        body = {
            "target": target,
            "notices": len(notices),
            "kinds": dict(Counter(str(one.kind) for one in notices)),
            "oldest": min(one.at for one in notices).isoformat(),
            "error": error,
            "about_notices": all(one.about is not None for one in notices),
        }
        key = f"notices/{message}"
        self._log.append(AuditRecord(event=Event.NOTICES_GIVEN_UP, actor="engine", key=key, body=body))
        self._outbox.given_up(message)

    async def _stop(self) -> None:
        for task in list(self._sending.values()):
            task.cancel()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
        with suppress(AuditError):
            await asyncio.to_thread(self._outbox.let_go)
