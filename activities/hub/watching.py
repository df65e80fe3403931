"""How jobs stand: one, or a thousand in a few calls."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from activities.errors import BadAnswer, HubError, NotFound, Refused, Retryable
from activities.hub.client import Hub
from activities.hub.numbers import job_number
from activities.hub.states import DELETED, RUNNING_WORDS, JobState, combined, state_of
from activities.hub.wire import Params, filled

#: Up to so many jobs are asked for one by one; more are looked up in the list of jobs.
_FEW = 2
_AT_ONCE = 16
_PROGRESS = ("progress", "percentage", "percent", "completion", "completed")
_DETAIL = "GET /jobs/{id}/"
_LIST = "states in GET /jobs/"


async def state(hub: Hub, job: int) -> JobState:
    """How one job stands. Raises NotFound when the Hub does not know it (any more)."""
    if hub.habits.get(_DETAIL, True):
        try:
            told = await hub.get(filled("/jobs/{id}/", id=job))
        except (NotFound, Refused, BadAnswer) as error:
            if error.status == 405 or (isinstance(error, BadAnswer) and error.status == 404):
                hub.habits[_DETAIL] = False
            elif error.status != 404 or hub.habits.get(_DETAIL):
                raise
        else:
            word = _word(told)
            if word is not None:
                hub.habits[_DETAIL] = True
                return state_of(word, percent(told.get("progress")))
    return await _by_tasks(hub, job)


async def states(
    hub: Hub, ids: Iterable[int], site: str | None = None, created_from: datetime | None = None
) -> dict[int, JobState]:
    """How many jobs stand, with few calls: unfinished ones from the list, 100 a call, the others one by one.

    A deleted job has the word DELETED. A job whose look-up failed for now is missing from the answer; raises when
    every one failed.
    """
    wanted = set(ids)
    found: dict[int, JobState] = {}
    if len(wanted) > _FEW:
        found = await _listed(hub, wanted, {"site": site, "created_time_from": created_from})
    rest = sorted(wanted - found.keys())
    lanes = asyncio.Semaphore(_AT_ONCE)

    async def one(job: int) -> JobState | HubError:
        async with lanes:
            try:
                return await state(hub, job)
            except NotFound:
                return JobState(DELETED, True)
            except Retryable as error:
                return error

    looked = await asyncio.gather(*(one(job) for job in rest))
    failed = [result for result in looked if isinstance(result, HubError)]
    if failed and not found and len(failed) == len(looked):
        raise failed[0]
    return found | {job: result for job, result in zip(rest, looked, strict=True) if isinstance(result, JobState)}


async def progress(hub: Hub, job: int) -> float | None:
    """Percent done, 0 to 100, which may fall back; None when the Hub's answer cannot be read as that."""
    return percent(await hub.get(filled("/jobs/{id}/progress/", id=job)))


def percent(told: Any) -> float | None:
    """Read a progress: a number, a text such as `37%`, or an object that holds one."""
    if isinstance(told, dict):
        return next((p for p in (percent(told.get(name)) for name in _PROGRESS) if p is not None), None)
    if isinstance(told, str):
        try:
            told = float(told.strip().removesuffix("%"))
        except ValueError:
            return None
    if isinstance(told, bool) or not isinstance(told, int | float) or told != told:
        return None
    return min(100.0, max(0.0, float(told)))


async def _by_tasks(hub: Hub, job: int) -> JobState:
    words = []
    async for page in hub.pages("/tasks/", {"job_id": job}):
        words += [word for word in map(_word, page.records()) if word is not None]
    if words:
        if hub.habits.get(_DETAIL) is None:
            hub.habits[_DETAIL] = False
        return combined(words)
    # No task yet, or no such job: only the progress can tell them apart.
    return JobState("PENDING", False, await progress(hub, job))


async def _listed(hub: Hub, wanted: set[int], params: Params) -> dict[int, JobState]:
    """The states of those wanted jobs that the lists of unfinished jobs, or else tasks, show."""
    if hub.habits.get(_LIST, True):
        found, told = await _walked(hub, "/jobs/", {**params, "state": RUNNING_WORDS}, wanted, "id")
        if told is not None:
            hub.habits[_LIST] = told
        if told is not False:
            return found
    return (await _walked(hub, "/tasks/", {"state": RUNNING_WORDS}, wanted, "job"))[0]


async def _walked(
    hub: Hub, path: str, params: Params, wanted: set[int], key: str
) -> tuple[dict[int, JobState], bool | None]:
    """Walk a list for wanted jobs, not longer than looking at them singly would pay; and whether it tells states."""
    found: dict[int, JobState] = {}
    told: bool | None = None
    budget = 4 + 3 * -(-len(wanted) // 100)
    try:
        async for page in hub.pages(path, params):
            for record in page.records():
                job, word = _number(record, key), _word(record)
                if job not in wanted:
                    continue
                told = word is not None
                if word is None:
                    return found, False
                _note(found, job, state_of(word, percent(record.get("progress"))), of_task=key == "job")
            budget -= 1
            if budget <= 0 or len(found) == len(wanted):
                break
    except (NotFound, Refused):
        return found, False
    return found, told


def _note(found: dict[int, JobState], job: int, seen: JobState, *, of_task: bool) -> None:
    """A task in work proves that its job is; a finished one proves nothing about the job."""
    if not of_task:
        found[job] = seen
    elif not seen.final:
        found[job] = JobState("STARTED" if job in found and found[job].word != seen.word else seen.word, False)


def _number(record: Any, key: str) -> int | None:
    return job_number(record.get(key, record.get("url"))) if isinstance(record, dict) else None


def _word(record: Any) -> str | None:
    word = record.get("state", record.get("status")) if isinstance(record, dict) else None
    return word if isinstance(word, str) and word.strip() else None
