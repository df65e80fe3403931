"""Every kind of thing that the engine keeps for policies."""

from collections.abc import Sequence

from temporalio.client import Client

from activities.storage import Storage
from orchestrator.applied import Kind, Schedules
from orchestrator.routes import Routes
from orchestrator.watches import Watches


def kinds(client: Client, task_queue: str, storage: Storage) -> Sequence[Kind]:
    """Give every kind of thing that policies want."""
    return (Schedules(client, task_queue), Watches(client, task_queue, storage), Routes(client, task_queue, storage))
