"""The Hub's own workflows: the named operations that a job can run."""

from collections.abc import AsyncIterator
from typing import Any

from pydantic import Field, field_validator

from activities.hub.client import Hub
from activities.hub.reading import Record, Reference, read
from activities.hub.wire import filled


class HubWorkflow(Record):
    """A hub workflow: whether it can be used, and which fields it takes."""

    id: int
    name: str
    label: str | None = None
    enabled: bool | None = None
    visible: bool | None = None
    schedule_only: bool | None = None
    external_only: bool | None = None
    discovery: str | None = None
    preferred_queue: Reference = None
    fields: tuple[dict[str, Any], ...] = Field(default=())

    @field_validator("fields", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return [{"name": name, **(of if isinstance(of, dict) else {"type": of})} for name, of in value.items()]
        return [one if isinstance(one, dict) else {"name": one} for one in value] if isinstance(value, list) else ()


async def workflows(hub: Hub) -> AsyncIterator[HubWorkflow]:
    """All hub workflows."""
    async for workflow in hub.items("/workflows/", None, HubWorkflow):
        yield workflow


async def one(hub: Hub, workflow: int) -> HubWorkflow:
    """One hub workflow. Raises NotFound."""
    path = filled("/workflows/{id}/", id=workflow)
    return read(HubWorkflow, await hub.get(path), f"GET {path}")


async def named(hub: Hub, name: str) -> HubWorkflow | None:
    """The hub workflow of a name; None when there is none."""
    async for workflow in workflows(hub):
        if workflow.name == name:
            return workflow
    return None
