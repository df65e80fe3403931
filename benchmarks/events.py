"""From an event's delivery over HTTP to the Hub's receipt of the first submit, on the embedded stack.

`python -m benchmarks.events [--events N]` prints the median and the worst; one small policy, settle 0s.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr

from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.services import free_port
from orchestrator.settings import load_settings
from orchestrator.stack import temporal_service
from orchestrator.temporal import connect
from orchestrator.web.app import application
from orchestrator.web.signature import signed_headers
from orchestrator.worker import working
from tests.local_hub import LocalHub

SECRET = b"a_secret_for_a_benchmark"
POLICY = b"""\
version: 1
name: drain
site: london
triggers: [event: {type: disk.full, settle: 0s}]
select:
  from: {space: projects}
  rules: [{name: away, match: {status: migrated}, keep: true}, {name: media, match: {type: [mov]}}]
run: {workflow: migrate}
"""


async def measure(folder: Path, count: int) -> list[float]:
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
                event_secrets=SecretStr(SECRET.decode()),
                log_level="error",
            )
            client = await connect(settings)
            async with working(settings, client):
                loaded = read_policy(POLICY, "drain")
                async with open_engine(settings) as engine:
                    difference = await engine.applying.difference({"drain": loaded})
                    await engine.applying.apply(difference, {"drain": loaded}, actor="bench", reason="bench")
                transport = httpx.ASGITransport(application(settings))
                async with httpx.AsyncClient(transport=transport, base_url="http://door") as door:
                    return [await one(door, hub, number) for number in range(count)]
    finally:
        temporal.stop()


async def one(door: httpx.AsyncClient, hub: LocalHub, number: int) -> float:
    hub.fill(1, folder=f"n{number}")
    told = {"specversion": "1.0", "id": str(number), "source": "bench", "type": "disk.full"}
    body = json.dumps(told).encode()
    before = len(await asyncio.to_thread(hub.jobs))
    began = time.time()
    headers = {"content-type": "application/cloudevents+json", **signed_headers(SECRET, body)}
    (await door.post("/events", content=body, headers=headers)).raise_for_status()
    while len(jobs := await asyncio.to_thread(hub.jobs)) == before:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    created = max(jobs, key=lambda job: int(job["id"]))["created"]
    received = datetime.fromisoformat(created).replace(tzinfo=UTC).timestamp()
    await asyncio.sleep(2.5)  # The run ends before the next event comes.
    return received - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=11)
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(measure(Path(folder), parser.parse_args().events))
    milliseconds = sorted(round(one * 1000) for one in took)
    print(f"delivery to the Hub's first submit: median {statistics.median(milliseconds):.0f} ms, of {milliseconds}")


if __name__ == "__main__":
    main()
