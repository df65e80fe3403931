"""What durability costs: a run of the product against the fastest bare script for the same work.

    python benchmarks/overhead.py [--seconds 1 10] [--jobs 500] [--in-flight 50] [--paths 10] [--pairs 3] [--recheck]

Both talk to the same simulated Hub (`fast_hub.py`, a process of its own), in turn, on this machine, and do the same
work: list the namespace page by page, cut it into batches, keep so many jobs in flight, submit each batch once, watch
each job to its end, and collect how every path ended.

- The rival is one asyncio loop over one aiohttp session that keeps nothing: it looks at each job every 0.1 s and asks
  once for the outcomes. Measured from its first request to its last answer, in a process that is up already.
- The product is `orchestrator.runs` with the embedded Temporal and a worker process, as `orchestrator run` uses them:
  preflight, inventory in Parquet, plan and manifest, a durable history, a claim and the end of each job in the audit,
  outcomes in Parquet. Measured from the call that starts the run to its report; servers and worker are up already.
  `--recheck` lets it also compare each batch with the namespace before the submit, which the rival does not do.

Printed for each length of job: the median of the pairs' ratios of wall time, and for every run what the Hub counted:
jobs, paths, and paths in more than one job, which must be none. Exit code 1 when a bound or that does not hold.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
LOOK_EVERY = 0.1
BOUNDS = {1.0: 1.5, 10.0: 1.1}
POLICY = """\
version: 1
name: overhead
site: bench
select:
  from: {{space: bench}}
run:
  workflow: migrate
  batch: {{files: {paths}, bytes: 1TiB}}
  concurrency: {in_flight}
  {recheck}
"""


@dataclass(frozen=True)
class Work:
    """What is to be done: so many jobs of so many paths, so many at once."""

    jobs: int
    paths: int
    in_flight: int
    recheck: bool

    @property
    def files(self) -> int:
        return self.jobs * self.paths


@dataclass(frozen=True)
class Took:
    """How long one run took, and what the Hub counted meanwhile."""

    seconds: float
    proof: dict[str, int]
    parts: str = ""

    def correct(self, work: Work) -> bool:
        counted = {name: self.proof[name] for name in ("jobs", "done", "paths", "twice")}
        return counted == {"jobs": work.jobs, "done": work.jobs, "paths": work.files, "twice": 0}


# The rival.


async def rival(url: str, key: str, work: Work) -> float:
    """Do the work with nothing but an event loop."""
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Api-Key {key}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        began = time.perf_counter()
        paths = await _listed(session, url)
        batches = iter([paths[start : start + work.paths] for start in range(0, len(paths), work.paths)])
        outcomes: dict[str, str] = {}

        async def lane() -> None:
            for batch in batches:
                await _one_job(session, url, batch, outcomes)

        await asyncio.gather(*(lane() for _ in range(work.in_flight)))
        took = time.perf_counter() - began
        if sorted(outcomes) != sorted(paths) or set(outcomes.values()) != {"processed"}:
            raise SystemExit("the rival did not do its work")
        return took


async def _listed(session: aiohttp.ClientSession, url: str) -> list[str]:
    async def folder(path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            query = {"path": path, "details": "true", "page_size": "100", "page": str(page)}
            async with session.get(f"{url}/spaces/1/files/", params=query) as answer:
                told = await answer.json()
            found += told["children"]
            if told["next"] is None:
                return found
            page += 1

    top = await folder("/bench")
    inner = await asyncio.gather(*(folder(one["path"]) for one in top))
    return [one["path"] for some in inner for one in some]


async def _one_job(session: aiohttp.ClientSession, url: str, batch: list[str], outcomes: dict[str, str]) -> None:
    body = {"site": "bench", "workflow": "migrate", "paths": [{"path": path} for path in batch]}
    async with session.post(f"{url}/file/workflow/", json=body) as answer:
        job = (await answer.json())["job"]
    while True:
        await asyncio.sleep(LOOK_EVERY)
        async with session.get(f"{url}/jobs/{job}/") as answer:
            state = (await answer.json())["state"]
        if state in ("SUCCESS", "FAILURE", "CANCELLED"):
            break
    query = {"job": str(job), "page_size": "0"}
    async with session.get(f"{url}/jobstats/", params=query) as answer:
        outcomes.update((row["path"], row["state"]) for row in (await answer.json())["results"])


def rival_process(url: str, key: str, work: Work) -> float:
    """Do the rival's work in the process that this is called in."""
    return asyncio.run(rival(url, key, work))


# The product.


@dataclass(frozen=True)
class Product:
    """What makes one run, for jobs of so many seconds, and where to look at it: settings, worker, services by name."""

    run: Callable[[float], tuple[float, str]]
    settings: Any
    worker: int
    services: dict[str, Any]


def policy_of(work: Work) -> bytes:
    """Write the policy that does the work."""
    recheck = "" if work.recheck else "recheck: none"
    return POLICY.format(paths=work.paths, in_flight=work.in_flight, recheck=recheck).encode()


@contextmanager
def product(url: str, key: str, work: Work) -> Iterator[Product]:
    """Start the embedded Temporal and a worker as the command line does, and give what makes one run."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        secret = Path(folder) / "key"
        secret.write_text(key)
        for name in [name for name in os.environ if name.startswith(("ORCHESTRATOR_", "TEMPORAL_"))]:
            del os.environ[name]
        from orchestrator.settings import load_settings
        from orchestrator.stack import TEMPORAL, WORKER, Stack

        settings = load_settings(state_dir=Path(folder) / "state", hub_url=url, hub_key_file=secret)
        text = policy_of(work)
        with Stack(settings, TEMPORAL, WORKER) as stack:
            asyncio.run(_until_work_is_taken(stack.settings))
            mark = stack.services[WORKER].mark
            assert mark is not None, "the worker takes work"
            yield Product(
                run=lambda seconds: asyncio.run(_run(stack.settings, text, _patience(work, seconds))),
                settings=stack.settings,
                worker=mark.pid,
                services=stack.services,
            )


async def _until_work_is_taken(settings: Any) -> None:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    from orchestrator.temporal import connect

    client = await connect(settings)
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=settings.task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    async with asyncio.timeout(60):
        while not (await client.workflow_service.describe_task_queue(request)).pollers:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.1)


def _patience(work: Work, seconds: float) -> float:
    return 60 + 5 * seconds * work.jobs / work.in_flight


async def _run(settings: Any, policy: bytes, patience: float) -> tuple[float, str]:
    from orchestrator.catalog import load_policy
    from orchestrator.runs import run_report, run_status, start_run
    from orchestrator.temporal import connect

    client = await connect(settings)
    loaded = load_policy(policy, "overhead")
    began = time.perf_counter()
    run = await start_run(client, settings, loaded, actor="benchmark", reason="measure the overhead")
    try:
        async with asyncio.timeout(patience):
            report = await run_report(client, run)
    except TimeoutError:
        progress = (await run_status(client, run)).model_dump_json(exclude={"plan"})
        raise SystemExit(
            f"the run did not end within {patience:.0f} s; the worker's log may say why: {progress}"
        ) from None
    took = time.perf_counter() - began
    status = await run_status(client, run)
    started = status.work_started or status.started
    before = (started - status.started).total_seconds()
    if str(report.state) != "succeeded":
        raise SystemExit(f"the run ended {report.state}: {report.trouble}")
    return took, f"{before:.2f} s of them until the plan stood"


# In turn.


@contextmanager
def hub(work: Work) -> Iterator[tuple[str, str]]:
    """Start the simulated Hub; it ends with its standard input."""
    command = [sys.executable, str(HERE / "fast_hub.py"), "--files", str(work.files)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield told["url"], told["key"]
        finally:
            process.terminate()


async def ask(method: str, url: str, body: Any = None) -> Any:
    async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
        return await answer.json(content_type=None)


def measured(url: str, seconds: float, do: Any) -> Took:
    """Reset the Hub, do the work, and ask the Hub what happened."""
    root = url.removesuffix("/api")
    asyncio.run(ask("POST", f"{root}/bench/reset", {"seconds": seconds}))
    told = do(seconds)
    took, parts = told if isinstance(told, tuple) else (told, "")
    return Took(took, asyncio.run(ask("GET", f"{root}/bench/proof")), parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 10.0], help="how long a job lasts")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--paths", type=int, default=10, help="paths in a job")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--recheck", action="store_true", help="let the product also re-check the files of each batch")
    given = parser.parse_args()
    work = Work(given.jobs, given.paths, given.in_flight, given.recheck)
    good = True
    spawning = multiprocessing.get_context("spawn")
    with hub(work) as (url, key), product(url, key, work) as made, spawning.Pool(1) as rivals:
        rivals.apply(abs, (0,))  # the rival's process is up before anything is measured
        for seconds in given.seconds:
            ratios = []
            for number in range(1, given.pairs + 1):
                bare = measured(url, seconds, lambda _: rivals.apply(rival_process, (url, key, work)))
                ours = measured(url, seconds, made.run)
                ratios.append(ours.seconds / bare.seconds)
                for name, one in (("bare aiohttp", bare), ("a run", ours)):
                    good = good and one.correct(work)
                    print(f"  pair {number}  {name:12}  {one.seconds:7.2f} s  {one.proof}  {one.parts}", flush=True)
            middle, bound = statistics.median(ratios), BOUNDS.get(seconds)
            holds = bound is None or middle <= bound
            good = good and holds
            wanted = "" if bound is None else f", at most {bound}: {'holds' if holds else 'DOES NOT HOLD'}"
            shown = ", ".join(f"{ratio:.3f}" for ratio in ratios)
            print(f"{work.jobs} jobs of {seconds:g} s, {work.in_flight} in flight: ", end="")
            print(f"ratio {middle:.3f} (median of {shown}){wanted}", flush=True)
    if not good:
        print("NOT GOOD: see above", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)
