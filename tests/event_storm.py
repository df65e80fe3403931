"""A storm of events against a real door and a real worker, both killed in its midst; the senders try on as they should.

What may be sent again is sent again until the door has taken it: no connection, a broken one, 5xx.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from activities.ledger.log import AuditLog
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.services import Service, free_port
from orchestrator.settings import Settings, load_settings
from orchestrator.web.signature import signed_headers
from tests.machine import Process, worker_process

SECRET = "a_secret_of_thirty-two_bytes_ok!"
AT_ONCE = 40
POLICY = b"""\
version: 1
name: storm
site: london
triggers: [event: {type: disk.full, settle: 0s}]
select: {from: {space: projects}, rules: [{name: media, match: {type: [mov]}}]}
run: {workflow: migrate}
"""


@dataclass(frozen=True)
class Storm:
    """What came of it: deliveries that were taken and that had to be made again, events kept and acted on."""

    taken: int
    again: int
    kept: list[str]
    acted_on: list[str]
    seconds: float


@dataclass
class Place:
    """Where the storm happens: the worker and the door of one installation."""

    settings: Settings
    worker: Process
    door: Process
    url: str

    def stop(self) -> None:
        self.door.stop()
        self.worker.stop()


def open_place(folder: Path, *, temporal: str, hub: str, key: Path) -> Place:
    """Start a worker and a door for a Temporal and a Hub."""
    worker = worker_process(folder, temporal=temporal, hub=hub, key=key)
    port = free_port()
    environment = {
        **worker.service.environment,
        "ORCHESTRATOR_EVENT_SECRETS": SECRET,
        "ORCHESTRATOR_LOG_LEVEL": "warning",
    }
    door = Service(
        name="the door",
        command=[sys.executable, "-P", "-m", "orchestrator", "serve", "--port", str(port)],
        log=folder / "logs" / "door.log",
        environment=environment,
        port=port,
    )
    settings = load_settings(state_dir=folder, temporal_address=temporal, hub_url=hub, hub_key_file=key)
    return Place(settings, worker, Process(door), f"http://127.0.0.1:{port}/events")


async def rage(place: Place, *, events: int, repeats: int, kill: bool = True) -> Storm:
    """Deliver every event so many times, in random order, and wait until each was acted on."""
    began = time.monotonic()
    async with open_engine(place.settings) as engine:
        catalog = {"storm": read_policy(POLICY, "storm.yaml")}
        difference = await engine.applying.difference(catalog)
        await engine.applying.apply(difference, catalog, actor="ann", reason="a storm")
    deliveries = [number for number in range(events) for _ in range(repeats)]
    random.Random(7).shuffle(deliveries)
    sender = Sender(place.url)
    killing = asyncio.create_task(_kill_both(place, sender, len(deliveries))) if kill else None
    await sender.deliver(deliveries)
    if killing is not None:
        await killing
    kept, acted_on = await _settled(place.settings, events)
    return Storm(sender.taken, sender.again, kept, acted_on, time.monotonic() - began)


class Sender:
    """Many senders at once, as CloudEvents senders are: at least once each."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.taken = 0
        self.again = 0
        self._changed = asyncio.Condition()

    async def has_taken(self, count: int) -> None:
        """Wait until so many deliveries were taken."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.taken >= count)

    async def deliver(self, numbers: list[int]) -> None:
        """Deliver events by their numbers, each until it is taken."""
        left = iter(numbers)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:

            async def lane() -> None:
                for number in left:
                    while not await self._try(session, number):
                        self.again += 1
                        await asyncio.sleep(0.1 + random.random() / 5)
                    async with self._changed:
                        self.taken += 1
                        self._changed.notify_all()

            await asyncio.gather(*(lane() for _ in range(AT_ONCE)))

    async def _try(self, session: aiohttp.ClientSession, number: int) -> bool:
        told = {"specversion": "1.0", "id": f"e{number}", "source": "storm", "type": "disk.full"}
        body = json.dumps(told).encode()
        headers = {"content-type": "application/cloudevents+json", **signed_headers(SECRET.encode(), body)}
        try:
            async with session.post(self._url, data=body, headers=headers) as answer:
                if answer.status < 500:
                    assert answer.status == 202, await answer.text()
                return answer.status == 202
        except (aiohttp.ClientError, TimeoutError):
            return False


async def _kill_both(place: Place, sender: Sender, deliveries: int) -> None:
    async def kill(victim: Process, share: float) -> None:
        await sender.has_taken(round(deliveries * share))
        await asyncio.to_thread(victim.restart, 0.5)

    await asyncio.gather(kill(place.door, 0.2), kill(place.worker, 0.4), kill(place.door, 0.7))


async def _settled(settings: Settings, events: int, within: float = 60.0) -> tuple[list[str], list[str]]:
    """Wait for as many acts as there are events, and a little longer for any that should not be."""
    log = AuditLog(settings.audit.get_secret_value())
    deadline = time.monotonic() + within

    def told(event: str) -> list[str]:
        return [record.key for record in log.records(event=event, limit=100_000)]

    while len(told("start.wished")) < events and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    try:
        return told("event.received"), told("start.wished")
    finally:
        log.close()
