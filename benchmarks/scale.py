"""A run of 10^8 files: plan and account for real, its first and last batches for real, the rest by measured figures.

    python -m benchmarks.scale [--files 100000000] [--paths 1000] [--edge 100] [--in-flight 20] [--seconds 1]

- The inventory is generated, and planned as the worker plans it: in a process of its own with the default memory.
- The product's own batch workflow sends the first and the last `--edge` batches to the simulated Hub of `fast_hub.py`
  and watches them to their end, through the embedded Temporal and a worker process.
- A whole run of 2,000 small batches shows what the run's own history takes for each segment, and that the last of its
  histories is as short as the first.
- The batches between the edges are written down as the worker writes them down, and the run is closed for real: every
  one of the files gets its outcome out of the batches' own accounts.

Printed are the measured figures and what follows from them for 10^8 and 10^9 files; docs/scale.md reads them. Exit code
1 when a process takes more than its bound, a history has 10,000 events, or an outcome is missing. It takes a quarter of
an hour, and 12 GB of disk in the temporary folder, for 10^8 files.
"""

import argparse
import asyncio
import functools
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import overhead, selection

MB, GB = 1_000_000, 1_000_000_000
MOST_WORKER, MOST_CHILD, MOST_EVENTS = 400 * MB, 1_500 * MB, 10_000
SMALL_RUN = 2_000
RUN = "scale"
Value = TypeVar("Value")


@dataclass
class Costs:
    """What some work took: seconds, the most memory of the worker and of a child of ours, the most scratch space."""

    seconds: float = 0.0
    worker: int = 0
    child: int = 0
    scratch: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    database: int = 0
    audit: int = 0


@dataclass
class Place:
    """Where the product of this benchmark keeps its things, and its processes."""

    settings: Any
    url: str
    worker: psutil.Process
    temporal: psutil.Process

    @property
    def state(self) -> Path:
        return Path(self.settings.state_dir)

    @contextmanager
    def watched(self) -> Iterator[Costs]:
        """Measure what is done in the block, by whichever process."""
        costs, over = Costs(), threading.Event()
        me, before, began = psutil.Process(), self._counters(), time.perf_counter()

        def read() -> None:
            while not over.wait(0.2):
                children = [one for one in me.children() if "activities.apart" in " ".join(_words(one))]
                costs.worker = max(costs.worker, _resident(self.worker))
                costs.child = max([costs.child, *map(_resident, children)])
                costs.scratch = max(costs.scratch, _size(Path(self.settings.spill_dir)))

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield costs
        finally:
            over.set()
            thread.join()
        costs.seconds = time.perf_counter() - began
        after = self._counters()
        taken = {name: after[name] - before[name] for name in after}
        costs.cpu = {name: taken[name] for name in ("worker", "temporal")}
        costs.requests, costs.database, costs.audit = (int(taken[name]) for name in ("requests", "database", "audit"))

    def _counters(self) -> dict[str, float]:
        proof = asyncio.run(overhead.ask("GET", f"{self.url.removesuffix('/api')}/bench/proof"))
        return {
            "worker": _cpu(self.worker),
            "temporal": _cpu(self.temporal),
            "requests": proof["requests"],
            "database": _size(self.state, "temporal.sqlite*"),
            "audit": _size(self.state, "audit.sqlite*"),
        }


@dataclass(frozen=True)
class History:
    """What Temporal keeps of some workflows."""

    events: int
    bytes: int
    actions: int


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000_000)
    parser.add_argument("--paths", type=int, default=1000, help="paths in a job")
    parser.add_argument("--edge", type=int, default=100, help="batches at each end that are run for real")
    parser.add_argument("--in-flight", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a job lasts")
    given = parser.parse_args()
    needed = given.files * 120
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise SystemExit(f"{needed / GB:.0f} GB of disk are needed, {free / GB:.0f} GB are free: take fewer --files")
    work = overhead.Work(SMALL_RUN, 1, given.in_flight, recheck=False)
    with overhead.hub(work) as (url, key), overhead.product(url, key, work) as product:
        place = Place(product.settings, url, psutil.Process(product.worker), _temporal(product.worker))
        asyncio.run(overhead.ask("POST", f"{url.removesuffix('/api')}/bench/reset", {"seconds": 0.2}))
        with place.watched() as small:
            product.run(0.2)
        own = asyncio.run(_histories(place.settings, segments=False))
        asyncio.run(overhead.ask("POST", f"{url.removesuffix('/api')}/bench/reset", {"seconds": given.seconds}))
        return Scale(place, given.files, given.paths, given.edge, given.in_flight).run(own, small)


@dataclass
class Scale:
    """The steps, each of which prints what it measured."""

    place: Place
    files: int
    paths: int
    edge: int
    in_flight: int
    good: bool = True

    def run(self, own: History, small: Costs) -> int:
        from activities.inventory import read_inventory
        from activities.storage import open_storage

        storage = open_storage(self.place.settings.storage)
        began = time.perf_counter()
        selection.generate(storage, self.files)
        inventory = read_inventory(storage, "bench").inventory
        listed = _size(self.place.state / "store" / "inventories" / "bench")
        self.say(f"inventory of {inventory.files:,} files: {listed / self.files:.1f} bytes a file, "
                 f"generated in {time.perf_counter() - began:.0f} s")  # fmt: skip
        plan, planning = self._plan(storage, inventory)
        manifest = _size(self.place.state / "store" / plan.manifest)
        self.say(f"plan: {planning.seconds:.0f} s for {plan.batches:,} batches, {manifest / plan.files:.1f} bytes a "
                 f"file, scratch {planning.scratch / GB:.1f} GB")  # fmt: skip
        self.check(f"its process {planning.child / MB:,.0f} MB", planning.child, MOST_CHILD)
        edges = [(0, self.edge), (plan.batches - self.edge, self.edge)]
        with self.place.watched() as batches:
            done = [asyncio.run(self._segment(plan, first, count)) for first, count in edges]
        sent = 2 * self.edge
        history = asyncio.run(_histories(self.place.settings, segments=True))
        self.say(f"first and last {self.edge} batches: {done[0]:,} and {done[1]:,} files done, {batches.seconds:.1f} s")
        self.check("files of these batches that were not done", sent * self.paths - sum(done), 1)
        self.check(f"the worker meanwhile {batches.worker / MB:,.0f} MB", batches.worker, MOST_WORKER)
        self.check(f"events of a whole segment {history.events / sent * 500 + 10:,.0f}",
                   int(history.events / sent * 500 + 10), MOST_EVENTS)  # fmt: skip
        self._write_the_rest(plan)
        closed, closing = self._close(storage, plan)
        outcomes = _size(self.place.state / "store" / "runs" / RUN, "outcomes.parquet")
        accounts = sum(one.stat().st_size for one in (self._round().glob("batch-00*.json")))
        written = len(list(self._round().glob("batch-00*.json")))
        self.say(f"account: {closing.seconds:.0f} s, {outcomes / plan.files:.1f} bytes a file")
        self.check(f"its process {closing.child / MB:,.0f} MB", closing.child, MOST_WORKER)
        self.check("files without the outcome done", plan.files - closed.counts.done, 1)
        self._tell(
            {
                "plan, seconds a million files": planning.seconds / plan.files * 1e6,
                "account, seconds a million files": closing.seconds / plan.files * 1e6,
                "inventory, bytes a file": listed / self.files,
                "manifest, bytes a file": manifest / plan.files,
                "outcomes, bytes a file": outcomes / plan.files,
                "scratch of the plan, bytes a file": planning.scratch / plan.files,
                "account of a batch, bytes": accounts / max(1, written),
                "history, events a batch": history.events / sent,
                "history, bytes a batch": history.bytes / sent,
                "Temporal's actions a batch": history.actions / sent,
                "Temporal's database, bytes a batch": batches.database / sent,
                "Temporal's CPU, ms a batch": batches.cpu["temporal"] / sent * 1000,
                "worker's CPU, ms a batch": batches.cpu["worker"] / sent * 1000,
                "Hub's calls a batch": batches.requests / sent,
                "audit, bytes a batch": batches.audit / sent,
                "the run's own history, events a segment": own.events / (SMALL_RUN / 500),
                "the run's own history, bytes a segment": own.bytes / (SMALL_RUN / 500),
                "a small run's CPU, ms a batch of one file": sum(small.cpu.values()) / SMALL_RUN * 1000,
            }
        )
        return 0 if self.good else 1

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)

    def check(self, text: str, value: int, bound: int) -> None:
        holds = value < bound
        self.good = self.good and holds
        print(f"{text}, below {bound / MB if bound >= MB else bound:,.0f}: "
              f"{'holds' if holds else 'DOES NOT HOLD'} ({value:,})", flush=True)  # fmt: skip

    def _plan(self, storage: Any, inventory: Any) -> tuple[Any, Costs]:
        from activities.selection import PlanRequest, make_plan

        request = PlanRequest(policy=self._policy(), inventory=inventory, as_of_us=selection.NOW)
        with self.place.watched() as costs:
            plan = self._apart(functools.partial(make_plan, storage, request=request))
        return plan, costs

    def _policy(self) -> Any:
        from orchestrator.catalog import load_policy

        text = overhead.POLICY.format(paths=self.paths, in_flight=self.in_flight, recheck="recheck: none")
        text = text.replace("bytes: 1TiB", "bytes: 1PiB")
        return load_policy(text.encode(), "overhead")

    def _apart(self, work: Callable[[Any], Value]) -> Value:
        from activities.apart import in_process
        from activities.bulk import Bulk

        settings = self.place.settings
        return asyncio.run(in_process(Bulk(int(settings.selection_memory), settings.spill_dir), work))

    async def _segment(self, plan: Any, first: int, count: int) -> int:
        from orchestrator.temporal import connect
        from workflows.order import order_of
        from workflows.run import Segment, Steering
        from workflows.run_batches import RunBatches

        client = await connect(self.place.settings)
        segment = Segment(
            run=RUN,
            order=order_of(self._policy()),
            round=1,
            manifest=plan.manifest,
            first=first,
            count=count,
            followed=False,
            steering=Steering(slots=self.in_flight),
        )
        report = await client.execute_workflow(
            RunBatches.run, segment, id=f"{RUN}-{first}", task_queue=self.place.settings.task_queue
        )
        return report.counts.done

    def _round(self) -> Path:
        return self.place.state / "store" / "runs" / RUN / "round-1"

    def _write_the_rest(self, plan: Any) -> None:
        """Write for every other batch what the worker wrote for the first one, but for its number of the job."""
        folder = self._round()
        sample = json.loads((folder / f"batch-{0:06d}.json").read_bytes())
        for batch in range(self.edge, plan.batches - self.edge):
            (folder / f"batch-{batch:06d}.json").write_text(json.dumps({**sample, "job": batch + 1}))

    def _close(self, storage: Any, plan: Any) -> tuple[Any, Costs]:
        from activities.outcomes import CloseRequest, close_outcomes

        request = CloseRequest(run=RUN, plan=plan.manifest, rounds=((1, plan.manifest, plan.batches),))
        with self.place.watched() as costs:
            closed = self._apart(functools.partial(close_outcomes, storage, request=request))
        return closed, costs

    def _tell(self, figures: dict[str, float]) -> None:
        print("\nmeasured")
        for name, value in figures.items():
            print(f"  {name:45} {value:12,.2f}")
        for files in (100_000_000, 1_000_000_000):
            batches = files // self.paths
            segments = -(-batches // 500)
            print(f"\n{files:,} files in {batches:,} batches, by these figures")
            lines = {
                "plan, minutes": files / 1e6 * figures["plan, seconds a million files"] / 60,
                "account, minutes": files / 1e6 * figures["account, seconds a million files"] / 60,
                "inventory, manifest and outcomes, GB": files / GB * sum(
                    figures[f"{name}, bytes a file"] for name in ("inventory", "manifest", "outcomes")
                ),
                "scratch of the plan, GB": files / GB * figures["scratch of the plan, bytes a file"],
                "segments (histories)": segments,
                "the run's own events, in parts of at most 4,096":
                    segments * figures["the run's own history, events a segment"],
                "Temporal's events": batches * figures["history, events a batch"],
                "Temporal's actions": batches * figures["Temporal's actions a batch"],
                "Temporal's database, GB": batches / GB * figures["Temporal's database, bytes a batch"],
                "Temporal's CPU, hours": batches / 3.6e6 * figures["Temporal's CPU, ms a batch"],
                "worker's CPU, hours": batches / 3.6e6 * figures["worker's CPU, ms a batch"],
                "Hub's calls of the batches": batches * figures["Hub's calls a batch"],
                "audit, GB": batches / GB * figures["audit, bytes a batch"],
            }  # fmt: skip
            for name, value in lines.items():
                print(f"  {name:45} {value:15,.1f}")
        sys.stdout.flush()


_ACTIONS = {"ACTIVITY_TASK_SCHEDULED", "TIMER_STARTED", "WORKFLOW_EXECUTION_SIGNALED",
            "START_CHILD_WORKFLOW_EXECUTION_INITIATED", "WORKFLOW_EXECUTION_STARTED",
            "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED"}  # fmt: skip


async def _histories(settings: Any, *, segments: bool) -> History:
    """Read the histories of our segments, or those of the small run itself without its segments."""
    from temporalio.api.enums.v1 import EventType

    from orchestrator.temporal import connect

    client = await connect(settings)
    kind = "RunBatches" if segments else "RunPolicy"
    events = size = actions = 0
    async for one in client.list_workflows(f"WorkflowType = '{kind}'"):
        if segments != one.id.startswith(f"{RUN}-"):
            continue
        handle = client.get_workflow_handle(one.id, run_id=one.run_id)
        events += one.history_length
        size += (await handle.describe()).raw_description.workflow_execution_info.history_size_bytes
        async for event in handle.fetch_history_events():
            actions += EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") in _ACTIONS
    return History(events, size, actions)


def _temporal(worker: int) -> psutil.Process:
    """Find the embedded server beside the worker: both are children of this process."""
    for one in psutil.Process().children(recursive=True):
        if one.pid != worker and "start-dev" in _words(one):
            return one
    raise SystemExit("no embedded Temporal was found")


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _size(folder: Path, pattern: str = "**/*") -> int:
    total = 0
    for one in folder.glob(pattern):
        try:
            total += one.stat().st_size if one.is_file() else 0
        except OSError:  # It went away meanwhile.
            continue
    return total


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)
