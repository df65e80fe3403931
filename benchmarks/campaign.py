"""A large run as its operator sees it: histories, the worker's memory, and the time beside the bare script's.

    python benchmarks/campaign.py [--jobs 1000] [--paths 1000] [--in-flight 20] [--seconds 4]

The Hub is simulated (`fast_hub.py`) and the rival is the bare script of `overhead.py`. One pair is run, the script
first. While the product works, the resident memory of the worker and of the processes that it starts for heavy work is
read five times a second. Printed: the ratio of wall time (at most 1.3), the events of the longest history of any
workflow (fewer than 10,000), the largest memory of the worker and that of any of its children (each below 400 MB) and
of all together, by how much the worker's mean grew from the third to the last quarter of the run (at most 10 %), that
every file has one outcome and it is `done`, and what the Hub counted: a path in two jobs is a failure. Exit code 1
when a bound does not hold.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import overhead

MB = 1_000_000
MOST_SLOWER = 1.3
MOST_EVENTS = 10_000
MOST_MEMORY = 400 * MB
MOST_GROWTH = 1.1


class Memory:
    """What a process, and each of those that it starts, holds over time, in bytes of resident memory."""

    def __init__(self, pid: int) -> None:
        self.samples: list[int] = []
        self.child = 0
        self.together = 0
        self._process = psutil.Process(pid)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Read it for as long as the block lasts."""
        over = threading.Event()

        def read() -> None:
            while not over.wait(0.2):
                self.samples.append(self._process.memory_info().rss)
                children = [_resident(child) for child in self._process.children(recursive=True)]
                self.child = max(self.child, *children, 0)
                self.together = max(self.together, self.samples[-1] + sum(children))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def growth(self) -> float:
        """How much larger the mean of the last quarter is than that of the third."""
        quarter = len(self.samples) // 4
        return statistics.mean(self.samples[3 * quarter :]) / statistics.mean(self.samples[2 * quarter : 3 * quarter])


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # It has ended.
        return 0


def all_done(settings: Any) -> int:
    """Give how many files the run's own account holds; none of them may have ended otherwise than `done`."""
    files = 0
    for table in Path(settings.storage).glob("runs/*/outcomes.parquet"):
        column = pq.read_table(table, columns=["ordinal", "outcome"])
        if pc.all(pc.equal(column["outcome"], "done")).as_py():
            files += pc.count_distinct(column["ordinal"]).as_py()
    return files


async def longest_history(settings: Any) -> tuple[int, str]:
    """Give the most events that any workflow of the installation has in one history, and which one."""
    from orchestrator.temporal import connect

    client = await connect(settings)
    longest = (0, "")
    async for one in client.list_workflows():
        longest = max(longest, (one.history_length, one.id))
    return longest


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=1000, help="paths in a job")
    parser.add_argument("--in-flight", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a job lasts")
    given = parser.parse_args()
    work = overhead.Work(given.jobs, given.paths, given.in_flight, recheck=False)
    spawning = multiprocessing.get_context("spawn")
    with overhead.hub(work) as (url, key), overhead.product(url, key, work) as product, spawning.Pool(1) as rivals:
        rivals.apply(abs, (0,))  # the rival's process is up before anything is measured
        bare = overhead.measured(url, given.seconds, lambda _: rivals.apply(overhead.rival_process, (url, key, work)))
        print(f"  bare aiohttp  {bare.seconds:7.1f} s  {bare.proof}", flush=True)
        memory = Memory(product.worker)
        with memory.watched():
            ours = overhead.measured(url, given.seconds, product.run)
        print(f"  a run         {ours.seconds:7.1f} s  {ours.proof}  {ours.parts}", flush=True)
        events, longest = asyncio.run(longest_history(product.settings))
        done = all_done(product.settings)
    return shown(work, bare, ours, memory, events, longest, done)


def shown(
    work: overhead.Work,
    bare: overhead.Took,
    ours: overhead.Took,
    memory: Memory,
    events: int,
    longest: str,
    done: int,
) -> int:
    """Print each figure beside its bound, and give the exit code."""
    ratio = ours.seconds / bare.seconds
    tenths = [memory.samples[len(memory.samples) * tenth // 10] for tenth in range(10)] + [memory.samples[-1]]
    print(f"  the worker's memory over the run, MB: {', '.join(f'{one / MB:,.0f}' for one in tenths)}")
    lines = [
        (f"{work.files:,} files in {work.jobs:,} jobs: ratio {ratio:.3f}", f"{MOST_SLOWER}", ratio <= MOST_SLOWER),
        (f"longest history {events:,} events ({longest})", f"{MOST_EVENTS:,}", events < MOST_EVENTS),
        (f"worker {max(memory.samples) / MB:,.0f} MB", f"{MOST_MEMORY / MB:,.0f}", max(memory.samples) < MOST_MEMORY),
        (f"its largest child {memory.child / MB:,.0f} MB", f"{MOST_MEMORY / MB:,.0f}", memory.child < MOST_MEMORY),
        (f"growth from third to last quarter {memory.growth:.3f}", f"{MOST_GROWTH}", memory.growth <= MOST_GROWTH),
        (f"files with the outcome done {done:,}", f"{work.files:,}", done == work.files),
        ("paths that the Hub got twice, or not", "0", ours.correct(work) and bare.correct(work)),
    ]
    print(f"  the worker and its children together: {memory.together / MB:,.0f} MB, for as long as a child works")
    for text, bound, holds in lines:
        print(f"{text}, at most {bound}: {'holds' if holds else 'DOES NOT HOLD'}", flush=True)
    return 0 if all(holds for *_, holds in lines) else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)
