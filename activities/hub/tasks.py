"""The tasks that a job is made of."""

from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator

from activities.hub.client import Hub
from activities.hub.numbers import job_number
from activities.hub.reading import MaybeMoment, Record, Reference, read
from activities.hub.wire import filled


def _number(value: Any) -> Any:
    return value if (number := job_number(value)) is None else number


class Task(Record):
    """A task of a job."""

    id: int
    job: Annotated[int, BeforeValidator(_number)]
    tasktype: str | None = None
    task_id: str | None = None
    state: str | None = None
    site: Reference = None
    started: MaybeMoment = None
    completed: MaybeMoment = None


async def tasks(
    hub: Hub, *, job: int | None = None, states: Iterable[str] | None = None, tasktype: str | None = None
) -> AsyncIterator[Task]:
    """Tasks, of one job if one is given, in some states if they are given."""
    params = {"job_id": job, "state": None if states is None else list(states), "tasktype": tasktype}
    async for task in hub.items("/tasks/", params, Task):
        yield task


async def one(hub: Hub, task: int) -> Task:
    """One task. Raises NotFound."""
    path = filled("/tasks/{id}/", id=task)
    return read(Task, await hub.get(path), f"GET {path}")
