"""Events without a pause from many senders, more than the router can keep: nothing lost, no standstill.

`python -m benchmarks.event_flood [--seconds 20] [--senders 8]`
"""

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from activities.ledger.log import AuditLog
from activities.router_line import RouterBusy, RouterLine
from orchestrator.services import free_port
from orchestrator.settings import load_settings
from orchestrator.stack import temporal_service
from orchestrator.temporal import connect
from orchestrator.worker import working
from tests.local_hub import LocalHub
from workflows.events import CloudEvent
from workflows.ids import router_id

CALLERS = 4
"""Callers of each sender, each of which tells its next event as soon as the one before is durable."""


@dataclass
class Flood:
    """What was taken and what was sent back."""

    taken: int = 0
    busy: int = 0


async def measure(folder: Path, seconds: float, senders: int) -> None:
    port = free_port()
    (folder / "t").mkdir()
    temporal = temporal_service(load_settings(state_dir=folder / "t"), port, folder / "temporal.log")
    temporal.start()
    try:
        temporal.wait_until_ready()
        with LocalHub(folder / "hub") as hub:
            settings = load_settings(
                state_dir=folder / "state",
                temporal_address=f"127.0.0.1:{port}",
                hub_url=hub.url,
                hub_key=hub.key,
                task_queue=f"bench-{os.getpid()}",
                log_level="error",
            )
            client = await connect(settings)
            flood = Flood()
            async with working(settings, client):
                began = time.monotonic()
                lines = [RouterLine(client, settings.task_queue) for _ in range(senders)]
                lanes = [
                    pour(line, f"{sender}-{caller}", began + seconds, flood)
                    for sender, line in enumerate(lines)
                    for caller in range(CALLERS)
                ]
                await asyncio.gather(*lanes)
                poured = time.monotonic() - began
                kept = await settled(settings.audit.get_secret_value(), flood.taken)
                took = time.monotonic() - began
            router = router_id(settings.task_queue)
            histories = [one async for one in client.list_workflows(f"WorkflowId = '{router}'")]
            longest = max(one.history_length for one in histories)
            print(f"{flood.taken:,} events taken in {poured:.0f} s, {flood.busy:,} times sent back, kept: {kept:,}")
            print(f"all heard {took - poured:.1f} s later, {len(histories)} histories, the longest {longest:,} events")
    finally:
        temporal.stop()


async def pour(line: RouterLine, name: str, until: float, flood: Flood) -> None:
    number = 0
    while time.monotonic() < until:
        event = CloudEvent(id=f"{name}-{number}", source="bench", type="disk.full", data={"n": number})
        try:
            await line.tell([event])
        except RouterBusy:
            flood.busy += 1
            await asyncio.sleep(1)
        else:
            flood.taken += 1
            number += 1


async def settled(audit: str, wanted: int) -> int:
    log = AuditLog(audit)
    deadline = time.monotonic() + 60
    try:
        while (kept := len(log.records(event="event.received", limit=10**7))) < wanted:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.3)
        await asyncio.sleep(1)
        return kept
    finally:
        log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--senders", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.seconds, given.senders))


if __name__ == "__main__":
    main()
