"""What files that keep failing cost the others: 1,000 poisoned files among 100,000, with and without the poison.

    python benchmarks/quarantine.py [--files 100000] [--every 100] [--batch 1000] [--seconds 2] [--pairs 3]

The product runs as `orchestrator run` runs it (embedded Temporal, a worker process) against the simulated Hub of
`fast_hub.py`, in turn with no file and with every `--every`-th file failing in each of its jobs, evenly over the
batches, which is the worst for them. Measured is the time from the start of the run until all other files are done.
The poisoned files climb the ladder (5 attempts, 1 s apart) and are set aside by their third failure.

Printed: the ratio of the two times for each pair, and its median, at most 1.1; then that the run succeeded, that
every poisoned file is in quarantine with its own message, and that the next plan leaves exactly those out. Exit code 1
when one of these does not hold.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.overhead import Work, _until_work_is_taken, ask, hub

BOUND = 1.1
POLICY = """\
version: 1
name: quarantine
site: bench
select:
  from: {{space: bench}}
run:
  workflow: migrate
  batch: {{files: {batch}, bytes: 1TiB}}
  concurrency: {in_flight}
  recheck: none
retry:
  failed_files: {{attempts: 5, wait: [1s]}}
  quarantine: {{after: 3, for: 14d}}
"""


@dataclass(frozen=True)
class Took:
    """Seconds until all files were done that can be, seconds until the run ended, and how it ended."""

    rest: float
    whole: float
    report: Any


@contextmanager
def product(url: str, key: str) -> Iterator[Any]:
    """Start the embedded Temporal and a worker, and give the settings to reach them."""
    with tempfile.TemporaryDirectory(prefix="quarantine-") as folder:
        secret = Path(folder) / "key"
        secret.write_text(key)
        for name in [name for name in os.environ if name.startswith(("ORCHESTRATOR_", "TEMPORAL_"))]:
            del os.environ[name]
        from orchestrator.settings import load_settings
        from orchestrator.stack import TEMPORAL, WORKER, Stack

        settings = load_settings(state_dir=Path(folder) / "state", hub_url=url, hub_key_file=secret)
        with Stack(settings, TEMPORAL, WORKER) as stack:
            asyncio.run(_until_work_is_taken(stack.settings))
            yield stack.settings


async def one_run(settings: Any, policy: Any, rest: int) -> Took:
    """Run the policy, and look often how many files are done."""
    from orchestrator.reporting.progress import run_progress
    from orchestrator.runs import run_report, start_run
    from orchestrator.temporal import connect

    client = await connect(settings)
    began = time.perf_counter()
    run = await start_run(client, settings, policy, actor="benchmark", reason="measure what poison costs")
    async with asyncio.timeout(900):
        while (await run_progress(client, run)).counts.done < rest:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
        until_rest = time.perf_counter() - began
        report = await run_report(client, run)
    return Took(until_rest, time.perf_counter() - began, report)


def set_aside(settings: Any, poisoned: int, *, release: bool) -> bool:
    """Tell whether exactly the poisoned files are in quarantine, each with its own message; then let them go."""
    from activities.quarantine import Quarantine, Which

    quarantine = Quarantine(settings.quarantine.get_secret_value())
    try:
        found = list(quarantine.listed())
        good = len(found) == poisoned and all(one.message == f"{one.path} cannot be read" for one in found)
        if release:
            quarantine.forget(quarantine.some(Which()))
        return good
    finally:
        quarantine.close()


def main() -> int:
    """Measure in turn, and say what held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=100, help="every so many files one fails")
    parser.add_argument("--batch", type=int, default=1000, help="files in a job")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a job lasts")
    parser.add_argument("--in-flight", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    poisoned = -(-given.files // given.every)
    work = Work(-(-given.files // given.batch), given.batch, given.in_flight, recheck=False)
    good, ratios = True, []
    with hub(work) as (url, key), product(url, key) as settings:
        from orchestrator.catalog import load_policy

        text = POLICY.format(batch=given.batch, in_flight=given.in_flight)
        policy = load_policy(text.encode(), "quarantine")
        reset = f"{url.removesuffix('/api')}/bench/reset"
        for pair in range(1, given.pairs + 1):
            asyncio.run(ask("POST", reset, {"seconds": given.seconds}))
            clean = asyncio.run(one_run(settings, policy, given.files))
            asyncio.run(ask("POST", reset, {"seconds": given.seconds, "poison": given.every}))
            sick = asyncio.run(one_run(settings, policy, given.files - poisoned))
            ratios.append(sick.rest / clean.rest)
            told, counts = sick.report, sick.report.outcomes
            good &= (str(told.state), counts.done, counts.quarantined) == (
                "succeeded",
                given.files - poisoned,
                poisoned,
            )
            last = pair == given.pairs
            good &= set_aside(settings, poisoned, release=not last)
            print(f"  pair {pair}  all clean: {clean.rest:6.2f} s   with poison: the rest {sick.rest:6.2f} s,", end=" ")
            print(
                f"the whole run {sick.whole:6.2f} s in {len(told.rounds)} rounds: {told.state}, {counts.done:,} done,",
                end=" ",
            )
            print(f"{counts.quarantined:,} quarantined", flush=True)
        again = asyncio.run(one_run(settings, policy, given.files - poisoned))
        left_out = again.report.plan.passed_over.get("quarantined", 0)
        good &= left_out == poisoned and len(again.report.rounds) == 1
        print(f"  the next plan leaves {left_out:,} files out; its run took {again.whole:.2f} s", flush=True)
    middle = statistics.median(ratios)
    holds = middle <= BOUND
    print(f"{poisoned:,} poisoned among {given.files:,}: ratio {middle:.3f}, at most {BOUND}: ", end="")
    print("holds" if holds else "DOES NOT HOLD")
    if not good:
        print("NOT GOOD: see above", flush=True)
    return 0 if good and holds else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The Temporal SDK's threads can crash the interpreter while it shuts down: leave without that.
    os._exit(code)
