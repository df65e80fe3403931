"""What it costs to watch many quiet pools: CPU of the worker and of Temporal, calls to the Hub, by number of pools.

    python benchmarks/watch_pools.py [--pools 100 300 1000] [--seconds 60] [--check-every 60s]

The Hub is simulated in memory within the worker's process, so that its cost is in the worker's figure.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import psutil
from aiohttp import web

from activities.storage import open_storage
from orchestrator.catalog import load_policy
from orchestrator.services import free_port
from orchestrator.settings import load_settings
from orchestrator.stack import temporal_service
from orchestrator.temporal import connect
from orchestrator.watches import Watches
from orchestrator.worker import working

POLICY = """
version: 1
name: drain-p{number}
site: bench
triggers:
  - threshold: {{pool: p{number}, upper: 85%, lower: 70%, sustain: 5m, check_every: {every}}}
select: {{from: {{space: projects}}}}
run: {{workflow: migrate}}
"""


class PoolHub:
    """Sites and pools, and a count of the calls."""

    def __init__(self, pools: int) -> None:
        self.pools = pools
        self.calls = 0

    async def start(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_get("/api/sites/", self.sites)
        app.router.add_get("/api/storagepools/", self.list)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner, f"http://127.0.0.1:{port}/api"

    async def sites(self, request: web.Request) -> web.Response:
        self.calls += 1
        return web.json_response([{"id": 1, "name": "bench"}])

    async def list(self, request: web.Request) -> web.Response:
        self.calls += 1
        size, page = int(request.query.get("page_size", 100)), int(request.query.get("page", 1))
        numbers = range(self.pools) if not size else range((page - 1) * size, min(page * size, self.pools))
        more = bool(size) and page * size < self.pools
        rows = [
            {"name": f"p{n}", "site": 1, "filesystem": "fs", "capacity": 10**12,
             "used_space": 5 * 10**11 + int(time.time()), "free_space": 4 * 10**11}
            for n in numbers
        ]  # fmt: skip
        following = f"/api/storagepools/?page={page + 1}&page_size={size}" if more else None
        return web.json_response({"count": self.pools, "next": following, "previous": None, "results": rows})


async def measure(pools: int, seconds: float, every: str) -> None:
    hub = PoolHub(pools)
    runner, url = await hub.start()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        service = temporal_service(load_settings(state_dir=folder), port, folder / "temporal.log")
        service.start()
        try:
            service.wait_until_ready()
            settings = load_settings(
                state_dir=folder, temporal_address=f"127.0.0.1:{port}", hub_url=url, hub_key="bench",
                task_queue=f"bench-{os.getpid()}-{pools}", worker_activities=2000,
            )  # fmt: skip
            client = await connect(settings)
            async with working(settings, client):
                watches = Watches(client, settings.task_queue, open_storage(settings.storage))
                for number in range(pools):
                    text = POLICY.format(number=number, every=every)
                    [wanted] = watches.wanted(load_policy(text.encode(), "bench.yaml"), 1)
                    await watches.put(wanted)
                await asyncio.sleep(10)
                mark = service.mark
                assert mark is not None
                await _measured(pools, seconds, hub, psutil.Process(mark.pid))
        finally:
            service.stop()
            await runner.cleanup()


async def _measured(pools: int, seconds: float, hub: PoolHub, temporal: psutil.Process) -> None:
    own, calls, began = psutil.Process(), hub.calls, time.monotonic()
    before = [sum(one.cpu_times()[:2]) for one in (own, temporal)]
    await asyncio.sleep(seconds)
    after = [sum(one.cpu_times()[:2]) for one in (own, temporal)]
    took = time.monotonic() - began
    worker, server = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    print(
        f"{pools:5} pools: worker {worker:5.1f} % and Temporal {server:5.1f} % of a core, "
        f"{60 * (hub.calls - calls) / took:5.1f} calls to the Hub a minute",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pools", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--check-every", default="60s")
    given = parser.parse_args()
    for pools in given.pools:
        await measure(pools, given.seconds, given.check_every)


if __name__ == "__main__":
    asyncio.run(main())
    os._exit(0)
