"""The engine as the doors reach it: Temporal, the audit and the storage of one installation, opened together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from activities.holds import Holds
from activities.ledger.log import AuditLog
from activities.storage import open_storage
from orchestrator.applied import Schedules
from orchestrator.applying import Applying
from orchestrator.desks import Desks
from orchestrator.kinds import kinds
from orchestrator.settings import Settings
from orchestrator.temporal import connect
from orchestrator.versions import Versions
from orchestrator.watches import Watches


@dataclass(frozen=True)
class Engine:
    """What a command needs to look at the engine or to change it."""

    settings: Settings
    client: Client
    log: AuditLog
    versions: Versions
    holds: Holds
    schedules: Schedules
    watches: Watches
    desks: Desks
    applying: Applying


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Connect to the parts of an installation for as long as the block lasts. Raises TemporalUnreachable."""
    client = await connect(settings)
    log = AuditLog(settings.audit.get_secret_value())
    try:
        storage = open_storage(settings.storage)
        versions = Versions(log, storage)
        every = kinds(client, settings.task_queue, storage)
        watches, holds = Watches(client, settings.task_queue, storage), Holds(log)
        desks = Desks(client, settings.task_queue)
        yield Engine(
            settings=settings,
            client=client,
            log=log,
            versions=versions,
            holds=holds,
            schedules=Schedules(client, settings.task_queue),
            watches=watches,
            desks=desks,
            applying=Applying(versions, every, holds, desks),
        )
    finally:
        log.close()
