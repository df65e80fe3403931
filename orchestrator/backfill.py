"""Backfill: the starts that a policy's schedules would have made in a stretch of the past, made now, one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from activities.starting import hand_in, start_key
from orchestrator.engine import Engine
from orchestrator.planned_starts import PlannedStart, planned_starts
from workflows.policy import Policy
from workflows.run import RunRequest
from workflows.scheduled import key_at, starts_of
from workflows.starts import Cause, Wish, wish_for

MOST = 100
_SKIPPED = "skipped: "


@dataclass(frozen=True)
class PastStart:
    """One fire time of the past: what became of it at its time, nothing when it was not heard of, and by a backfill.

    `key` is the one under which a backfill would make it now; None when one has made it already.
    """

    start: PlannedStart
    became: str | None
    made_up: str | None
    key: str | None


def past_starts(engine: Engine, policy: Policy, since: datetime, until: datetime) -> list[PastStart]:
    """List the fire times after `since` up to and with `until`, for one site; at most MOST and one.

    What became of a time is known by policy, site and time, whatever the trigger said then.
    """
    found: list[PastStart] = []
    for start in planned_starts(policy, since, until):
        if found and found[-1].start.time.at == start.time.at:
            continue  # Two schedules at one moment mean one start.
        became = _told(engine, key_at(starts_of(policy.name, policy.one_site), start.time.at))
        found.append(PastStart(start, became, *_by_backfill(engine, policy, start)))
        if len(found) > MOST:
            break
    return found


async def make_starts(
    engine: Engine, policy: Policy, version: int, starts: Sequence[PastStart], *, actor: str, reason: str
) -> list[str]:
    """Hand in one wish for each that no backfill has made yet; ages are measured from its own time.

    The same time is started once, however often and by however many people it is asked for.
    """
    keys = []
    for wish in _wishes(policy, version, starts, actor=actor, reason=reason):
        await hand_in(engine.client, engine.settings.task_queue, wish)
        keys.append(wish.key)
    return keys


def _wishes(policy: Policy, version: int, starts: Sequence[PastStart], *, actor: str, reason: str) -> Iterator[Wish]:
    for past in starts:
        if past.key is None:
            continue
        at = past.start.time.at
        text = f"backfill of {at:%Y-%m-%d %H:%M} UTC, {past.start.schedule.cron} {past.start.schedule.timezone}"
        request = RunRequest(
            run="",
            policy=policy,
            version=version,
            actor=actor,
            reason=f"{text}: {reason}" if reason else text,
            as_of_us=round(at.timestamp() * 1_000_000),
        )
        yield wish_for(
            key=past.key,
            request=request,
            cause=Cause(kind="backfill", text=text, scheduled=at),
            overlap="queue_all",
        )


def _by_backfill(engine: Engine, policy: Policy, start: PlannedStart) -> tuple[str | None, str | None]:
    """Tell what backfills made of a time, and the key for the next one: a start that was skipped may be tried again."""
    key = key_at(starts_of(policy.name, policy.one_site, "backfill"), start.time.at)
    made_up, attempt, number = None, key, 1
    while (became := _told(engine, attempt)) is not None and became.startswith(_SKIPPED):
        number += 1
        made_up, attempt = became, f"{key}/{number}"
    return became or made_up, attempt if became is None else None


def _told(engine: Engine, key: str) -> str | None:
    """Say what became of a start: the run, or why there is none; None when nobody has heard of it."""
    for word in ("begun", "skipped"):
        if (record := engine.log.get(start_key(key, word))) is not None:
            return str(record.body.get("run") or f"{_SKIPPED}{record.body.get('why')}")
    heard = engine.log.get(start_key(key))
    if heard is None:
        return None
    return f"missed: {heard.body['why']}" if heard.event == "start.missed" else "waits for its turn"
