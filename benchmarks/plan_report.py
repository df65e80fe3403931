"""A plan with its full report, against the bare selection of the same inventory.

    python -m benchmarks.plan_report --rows 10000000 --pairs 3

Both run in processes of their own, in turn: the one matches, orders and writes the manifest; the other does that and
counts owners by rule, what stays and why, the largest and the oldest ten, and the difference to an earlier plan, which
is there already. Printed are the ratio of the wall times (of the medians; at most 3) and the peak memory of the
report's process (below 1.5 GB). `--other` compares with a plan that is made in the same time instead.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from activities.bulk import Bulk
from activities.inventory import Finished
from activities.plan_diff import diff_plans
from activities.plan_report import report_plan
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from benchmarks.selection import DAY, MEMORY, MOST_BYTES, NOW, POLICY, generate
from workflows.plan import Plan
from workflows.policy import Policy

MOST_RATIO = 3.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument(
        "--other", action="store_true", help="compare with another policy, planned in the same breath"
    )
    arguments.add_argument("--one", choices=["bare", "full"], help=argparse.SUPPRESS)
    arguments.add_argument("--earlier", default="", help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help="where the generated inventory is kept")
    given = arguments.parse_args()
    if given.one:
        print(json.dumps(_one(given.one, given.folder, given.earlier)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        storage = open_storage(folder)
        generate(storage, given.rows)
        earlier = "" if given.other else _plan(storage, folder, NOW - 30 * DAY).manifest
        return _compare(folder, given.pairs, earlier)


def _compare(folder: Path, pairs: int, earlier: str) -> int:
    bare, full = [], []
    for number in range(pairs):
        bare.append(_in_process("bare", folder, earlier))
        full.append(_in_process("full", folder, earlier))
        print(
            f"pair {number + 1}: selection {bare[-1]['seconds']:.2f} s of {bare[-1]['files']:,} files, with its report "
            f"{full[-1]['seconds']:.2f} s, {full[-1]['added']:,} added and {full[-1]['removed']:,} removed, "
            f"peak {full[-1]['peak'] / 1e6:,.0f} MB"
        )
    medians = [statistics.median(one["seconds"] for one in each) for each in (full, bare)]
    ratio, peak = medians[0] / medians[1], max(one["peak"] for one in full)
    good = ratio <= MOST_RATIO and peak < MOST_BYTES
    print(
        f"ratio {ratio:.2f} (at most {MOST_RATIO}), peak {peak / 1e6:,.0f} MB (below {MOST_BYTES / 1e6:,.0f} MB): "
        f"{'holds' if good else 'does not hold'}"
    )
    return 0 if good else 1


def _in_process(kind: str, folder: Path, earlier: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.plan_report", "--one", kind, "--folder", str(folder)]
    done = subprocess.run([*command, "--earlier", earlier], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _one(kind: str, folder: Path, earlier: str) -> dict[str, float]:
    storage = open_storage(folder)
    for manifest in {name.rpartition("/")[0] for name in storage.list("plans")} - {earlier}:
        storage.delete(manifest)
    start = time.perf_counter()
    plan = _plan(storage, folder, NOW)
    counts: dict[str, float] = {"files": plan.files}
    if kind == "full":
        counts |= _report(storage, folder, plan, earlier)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, **counts}


def _report(storage: Storage, folder: Path, plan: Plan, earlier: str) -> dict[str, float]:
    bulk = Bulk(MEMORY, folder / "spill")
    report = report_plan(storage, bulk, Policy.model_validate(POLICY), plan)
    diff = diff_plans(storage, bulk, plan.manifest, earlier or _plan(storage, folder, NOW - 30 * DAY).manifest)
    assert sum(rule.files for rule in report.rules) == plan.files == diff.added.files + diff.same.files
    return {"added": diff.added.files, "removed": diff.removed.files}


def _plan(storage: Storage, folder: Path, as_of_us: int) -> Plan:
    inventory = Finished.model_validate_json(storage.get("inventories/bench/inventory.json")).inventory
    request = PlanRequest(policy=Policy.model_validate(POLICY), inventory=inventory, as_of_us=as_of_us)
    return make_plan(storage, Bulk(MEMORY, folder / "spill"), request)


if __name__ == "__main__":
    sys.exit(main())
