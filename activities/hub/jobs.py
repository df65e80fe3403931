"""The Hub's jobs: submit, find, steer, and the paths they hold."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import AliasChoices, Field, model_validator

from activities.errors import BadAnswer, NotFound, OutcomeUnknown, Refused
from activities.hub import jobstats
from activities.hub.client import Hub
from activities.hub.numbers import job_number
from activities.hub.reading import MaybeMoment, MaybeWhole, Record, Reference
from activities.hub.states import JobState
from activities.hub.watching import progress, state, states
from activities.hub.wire import filled

__all__ = [
    "Job",
    "JobState",
    "SubmitRequest",
    "cancel",
    "delete",
    "find",
    "paths",
    "pause",
    "progress",
    "resubmit",
    "resume",
    "state",
    "states",
    "submit",
]


@dataclass(frozen=True)
class SubmitRequest:
    """A hub workflow to be run over paths (their exact names); what is None is left to the Hub."""

    site: str
    workflow: str
    paths: Sequence[str] = ()
    discovery: str | None = None
    queue: str | None = None
    fields: Mapping[str, Any] | None = None
    include: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    ignore_site_includes: bool | None = None
    ignore_site_excludes: bool | None = None
    job: int | None = None

    def body(self) -> dict[str, Any]:
        """The request body as the contract has it."""
        given: dict[str, Any] = {
            "discovery": self.discovery,
            "queue": self.queue,
            "fields": None if self.fields is None else dict(self.fields),
            "include": None if self.include is None else list(self.include),
            "exclude": None if self.exclude is None else list(self.exclude),
            "ignore_site_includes": self.ignore_site_includes,
            "ignore_site_excludes": self.ignore_site_excludes,
            "job": self.job,
        }
        return {
            "site": self.site,
            "workflow": self.workflow,
            "paths": [{"path": path} for path in self.paths],
            **{name: value for name, value in given.items() if value is not None},
        }


#: A Hub that writes local times without their zone may seem so far behind; it filters by its own.
_ZONES = timedelta(hours=14)


class Job(Record):
    """A job as the list of jobs shows it; all but the number may be missing."""

    id: int
    state: str | None = Field(None, validation_alias=AliasChoices("state", "status"))
    workflow: Reference = Field(None, validation_alias=AliasChoices("workflow", "workflow_name", "jobtype"))
    site: Reference = Field(None, validation_alias=AliasChoices("site", "site_name"))
    queue: Reference = None
    created: MaybeMoment = Field(None, validation_alias=AliasChoices("created", "created_time", "created_at"))
    completed: MaybeMoment = Field(None, validation_alias=AliasChoices("completed", "completed_time"))
    progress: Any = None
    files: MaybeWhole = Field(None, validation_alias=AliasChoices("total_files", "files_count"))

    @model_validator(mode="before")
    @classmethod
    def _with_number(cls, record: Any) -> Any:
        return record if not isinstance(record, dict) else {**record, "id": job_number(record, own=True)}


async def submit(hub: Hub, request: SubmitRequest) -> int:
    """Start a job and give back its number.

    Sent once. Raises OutcomeUnknown when the Hub may have made a job that we did not hear of; any other error,
    429 included, means that none was made.
    """
    operation = "POST /file/workflow/"
    return _made(await hub.post("/file/workflow/", request.body()), operation)


async def resubmit(hub: Hub, job: int) -> int:
    """Run a finished job again; the number of the job that does it, which may be the same one.

    Sent once. Raises OutcomeUnknown like `submit`.
    """
    answer = await hub.post(filled("/jobs/{id}/resubmit/", id=job))
    return job_number(answer) or job


async def find(
    hub: Hub, site: str | None = None, workflow: str | None = None, created_from: datetime | None = None
) -> AsyncIterator[Job]:
    """Jobs of a site and hub workflow made since a moment, also of a Hub that does not filter by time."""
    params = {"site": site, "workflow": workflow, "created_time_from": created_from}
    async for job in hub.items("/jobs/", params, Job):
        if created_from is None or job.created is None or job.created >= created_from - _ZONES:
            yield job


async def cancel(hub: Hub, job: int) -> None:
    """Cancel a job; does nothing to a finished one."""
    await _steer(hub, "/jobs/{id}/cancel/", job)


async def pause(hub: Hub, job: int) -> None:
    """Pause a running job; does nothing to a finished one."""
    await _steer(hub, "/jobs/{id}/pause/", job)


async def resume(hub: Hub, job: int) -> None:
    """Resume a paused job; does nothing to a finished one."""
    await _steer(hub, "/jobs/{id}/resume/", job)


async def delete(hub: Hub, job: int) -> None:
    """Delete a job."""
    await hub.request("DELETE", filled("/jobs/{id}/", id=job), repeat=True)


async def paths(hub: Hub, job: int) -> AsyncIterator[str]:
    """The exact paths of a job, each once: from its files where the Hub lists them, else from its statistics.

    A Hub may know them only some time after the submit: nothing found does not prove that the job is another one.
    """
    seen: set[str] = set()
    try:
        async for page in hub.pages(filled("/jobs/{id}/files/", id=job)):
            for path in map(_path, page.records()):
                if path is not None and path not in seen:
                    seen.add(path)
                    yield path
    except (NotFound, Refused, BadAnswer):
        pass  # A Hub need not have this list; the statistics are the documented one.
    if seen:
        return
    async for outcome in jobstats.everything(hub, job):
        if outcome.path not in seen:
            seen.add(outcome.path)
            yield outcome.path


async def _steer(hub: Hub, template: str, job: int) -> None:
    await hub.request("POST", filled(template, id=job), repeat=True)


def _made(answer: Any, operation: str) -> int:
    number = job_number(answer)
    if number is None:
        raise OutcomeUnknown(
            f"{operation}: the Hub accepted, but its answer names no job: look for the job before sending it again",
            operation=operation,
        )
    return number


def _path(record: Any) -> str | None:
    if isinstance(record, dict):
        record = record.get("path") or record.get("name")
    return record if isinstance(record, str) and record else None
