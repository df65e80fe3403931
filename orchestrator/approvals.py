"""What waits for a person's word: the audit names the runs, and each run says whether it still does."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.service import RPCError

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from orchestrator.engine import Engine
from orchestrator.runs import RunError, run_status

_LOOKED_AT = 500
_AFTER = 200
_AT_ONCE = 20
_WITHIN = 10.0
_DECIDED = (
    Event.PLAN_APPROVED, Event.PLAN_REJECTED, Event.APPROVAL_EXPIRED, Event.RUN_REFUSED, Event.RUN_ENDED,
)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """A run that waits, and exactly what for."""

    run: str
    policy: str
    digest: str
    files: int
    bytes: int
    why: str
    since: datetime
    expires: datetime
    not_by: str | None


async def waiting_runs(engine: Engine) -> list[Waiting]:
    """Give the runs that wait for approval, the longest one first; a run that does not answer is left out."""
    names = await asyncio.to_thread(_undecided, engine.log)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(run: str) -> Waiting | None:
        async with gate:
            try:
                async with asyncio.timeout(_WITHIN):
                    status = await run_status(engine.client, run)
            except (RunError, RPCError, TimeoutError):
                return None
        wanted = status.approval
        if wanted is None or status.state.final:
            return None
        return Waiting(run=run, policy=status.policy, **dict(wanted))

    found = await asyncio.gather(*map(ask, names))
    return sorted((one for one in found if one is not None), key=lambda one: one.since)


def _undecided(log: AuditLog) -> list[str]:
    """Name the runs that asked for a word and of which nothing later is told that would end the wait."""
    if not log.is_there():
        return []
    since = datetime.now(UTC) - timedelta(days=1)
    asked = {
        str(one.run): one.seq
        for one in log.records(event=Event.APPROVAL_WANTED, newest=True, limit=_LOOKED_AT)
        if datetime.fromisoformat(one.body["expires"]) > since
    }
    return [
        run
        for run, seq in asked.items()
        if all(one.event not in _DECIDED for one in log.records(run=run, after=seq, limit=_AFTER))
    ]
