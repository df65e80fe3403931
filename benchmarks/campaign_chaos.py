"""A large run while everything around it fails: what it costs, and that no path is processed twice or lost.

    python benchmarks/campaign_chaos.py [--jobs 1000] [--paths 1000] [--in-flight 20] [--seconds 4]

The campaign of `campaign.py`, and from its first second on: the worker is killed (SIGKILL) every 20 s, Temporal twice,
the Hub closes every connection for a minute, and one submit in twenty is taken by the Hub and its answer lost. The
worker and Temporal are started again at once. Printed: what happened, how long it took, and what the Hub and the run's
outcome file counted. Exit code 1 when a file has another outcome than `done`, or a path went to the Hub twice.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import overhead

WORKER_EVERY = 20.0
LOSE = 0.05
AWAY = 60.0


class Trouble:
    """Everything that goes wrong, each at its time, until the run has ended."""

    def __init__(self, root: str, services: dict[str, Any]) -> None:
        self.happened: list[str] = []
        self.workers = 0
        self._root, self._services = root, services
        self._began = time.monotonic()

    async def make(self, about: float) -> None:
        """Make trouble until cancelled, for a run that is expected to last so many seconds undisturbed."""
        await overhead.ask("POST", f"{self._root}/bench/trouble", {"lose": LOSE})
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill_workers())
            for share, act in ((0.25, self._kill_temporal), (0.45, self._take_hub_away), (0.75, self._kill_temporal)):
                group.create_task(self._later(about * share, act))

    async def _kill_workers(self) -> None:
        while True:
            await asyncio.sleep(WORKER_EVERY)
            await asyncio.to_thread(self._restart, "worker")
            self.workers += 1

    async def _later(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(seconds)
        await act()

    async def _kill_temporal(self) -> None:
        await asyncio.to_thread(self._restart, "temporal")
        self._tell("Temporal was killed")

    async def _take_hub_away(self) -> None:
        await overhead.ask("POST", f"{self._root}/bench/trouble", {"away": AWAY})
        self._tell(f"the Hub went away for {AWAY:.0f} s")

    def _restart(self, name: str) -> None:
        service = self._services[name]
        service.kill()
        service.start()

    def _tell(self, what: str) -> None:
        self.happened.append(f"{what} at {time.monotonic() - self._began:.0f} s")


async def disturbed(
    product: overhead.Product, root: str, work: overhead.Work, seconds: float
) -> tuple[float, Any, Any]:
    """Run the campaign in trouble; gives how long it took, its report, and the trouble."""
    from temporalio.service import RPCError

    from orchestrator.catalog import load_policy
    from orchestrator.runs import RunError, run_report, run_status, start_run
    from orchestrator.temporal import TemporalUnreachable, connect

    client = await connect(product.settings)
    loaded = load_policy(overhead.policy_of(work), "overhead")
    began = time.perf_counter()
    run = await start_run(client, product.settings, loaded, actor="benchmark", reason="a run in trouble")
    trouble = Trouble(root, product.services)
    making = asyncio.create_task(trouble.make(60 + seconds * work.jobs / work.in_flight))
    try:
        while True:
            with suppress(TemporalUnreachable, RPCError, RunError, TimeoutError):
                async with asyncio.timeout(10):
                    status = await run_status(await connect(product.settings), run)
                    if status.state.final:
                        return time.perf_counter() - began, await run_report(client, run), trouble
            if time.perf_counter() - began > 1800:
                raise SystemExit("the run did not end within half an hour; the worker's log may say why")
            await asyncio.sleep(1)
    finally:
        making.cancel()
        with suppress(asyncio.CancelledError):
            await making


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=1000, help="paths in a job")
    parser.add_argument("--in-flight", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a job lasts")
    given = parser.parse_args()
    work = overhead.Work(given.jobs, given.paths, given.in_flight, recheck=False)
    with overhead.hub(work) as (url, key), overhead.product(url, key, work) as product:
        root = url.removesuffix("/api")
        asyncio.run(overhead.ask("POST", f"{root}/bench/reset", {"seconds": given.seconds}))
        took, report, trouble = asyncio.run(disturbed(product, root, work, given.seconds))
        proof = asyncio.run(overhead.ask("GET", f"{root}/bench/proof"))
    print(f"  the worker was killed {trouble.workers} times; {'; '.join(trouble.happened)}")
    print(f"  {proof['lost']} submits were taken and their answers lost")
    print(f"  the run ended {report.state} after {took:.0f} s: {report.outcomes.model_dump_json()}")
    print(f"  the Hub counted {proof}")
    once = (proof["jobs"], proof["paths"], proof["twice"]) == (work.jobs, work.files, 0)
    complete = report.outcomes.done == work.files == report.outcomes.total
    print(f"each path in exactly one job: {'holds' if once else 'DOES NOT HOLD'}")
    print(f"{work.files:,} files with outcome done: {'holds' if complete else 'DOES NOT HOLD'}", flush=True)
    return 0 if once and complete else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)
