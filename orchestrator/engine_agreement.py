"""Whether the engine will start a policy when we say: its own listing of fire times against ours."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio.client import Client

from activities.engine_times import differences, engine_fire_times
from activities.schedules import digest_of, find_one
from orchestrator.planned_starts import PlannedStart
from workflows.policy import Policy
from workflows.scheduled import ScheduledStart

_MOST_NAMED = 3


async def disagreements(
    client: Client, task_queue: str, policy: Policy, starts: Sequence[PlannedStart], since: datetime
) -> list[str]:
    """Say in what the engine differs from these starts of a policy; nothing when it agrees."""
    said: list[str] = []
    for site in policy.all_sites:
        for number in sorted({start.trigger for start in starts}):
            times = [start.time.at for start in starts if start.trigger == number and start.time.at > since]
            if not times:
                continue
            said += await _of_one(client, task_queue, policy.at(site), number, times, since)
    return said


async def _of_one(
    client: Client, task_queue: str, policy: Policy, number: int, times: list[datetime], since: datetime
) -> list[str]:
    start = ScheduledStart(policy=policy, version=0, trigger=number)
    found, where = await find_one(client, start.id_in(task_queue)), f"triggers[{number}] at {start.site}"
    if found is None:
        return [f"{where} is not applied: `orchestrator apply`"]
    if found.start is None or found.start.schedule != start.schedule:
        return [f"{where} is applied in other words: `orchestrator apply` brings these there"]
    if found.paused:
        return [f"{where} is paused" + (f" ({found.note})" if found.note else "")]
    jitter = start.schedule.jitter
    engine = await engine_fire_times(client, found.id, since, times[-1] + jitter)
    odd = list(differences(times, engine[: len(times)], jitter))
    if found.digest != digest_of(found.start) or not found.whole:
        return [f"{where} was changed in Temporal: `orchestrator apply` writes it anew"]
    return [f"{where}: the engine has {_said(its)} where {_said(ours)} is meant" for ours, its in odd[:_MOST_NAMED]]


def _said(when: datetime | None) -> str:
    return "nothing" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"


WITHIN = timedelta(seconds=3)
"""How long a look at the engine may take before a preview does without it."""
