"""A plan over a generated inventory, against a raw DuckDB scan and sort of the same columns.

    python -m benchmarks.selection --rows 10000000 --pairs 3

Both run in processes of their own, in turn. Printed are the ratio of the wall times (median of the pairs; at most 3)
and the peak memory of the plan's process (below 1.5 GB).
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

import duckdb
import pyarrow.parquet as pq

from activities.bulk import Bulk, reading
from activities.columns import SCHEMA, write_parquet
from activities.inventory import Finished, InventoryRef, inventory_parts
from activities.selection import PlanRequest, make_plan
from activities.storage import Storage, open_storage
from workflows.policy import Policy

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000
MEMORY = 1 << 30
PART = 1_000_000
MOST_RATIO, MOST_BYTES = 3.0, 1_500_000_000

POLICY = {
    "version": 1,
    "name": "archive-cold-media",
    "site": "london",
    "select": {
        "from": {"space": "projects"},
        "classes": {
            "media": {"type": ["mov", "mxf", "dpx", "exr"]},
            "cold": {"all": [{"accessed": "> 90d"}, {"modified": "> 30d"}]},
            "kept": {"any": [{"path": "**/.snapshots/**"}, {"path": "/mmfs1/projects/legal/**"}]},
        },
        "exclude": ["kept", {"changed": "< 10m"}],
        "rules": [
            {"name": "tiny", "match": {"size": "< 128KiB"}, "keep": True},
            {"name": "media", "match": {"all": ["media", "cold"]}},
            {"name": "old", "match": {"accessed": "> 365d"}},
        ],
        "order_by": ["-size", "accessed"],
    },
    "run": {"workflow": "migrate"},
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--all", action="store_true", help="a policy without rules, which selects every file")
    arguments.add_argument("--one", choices=["plan", "raw"], help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help="where the generated inventory is kept")
    given = arguments.parse_args()
    if given.one:
        print(json.dumps(_one(given.one, given.folder, given.all)))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        generate(open_storage(folder), given.rows)
        return _compare(folder, given.pairs, given.all)


def _compare(folder: Path, pairs: int, everything: bool) -> int:
    ratios, peaks = [], []
    for number in range(pairs):
        raw, plan = (_in_process(kind, folder, everything) for kind in ("raw", "plan"))
        ratios.append(plan["seconds"] / raw["seconds"])
        peaks.append(plan["peak"])
        print(
            f"pair {number + 1}: raw scan and sort {raw['seconds']:.2f} s, plan {plan['seconds']:.2f} s of "
            f"{plan['files']:,} files in {plan['batches']:,} batches, ratio {ratios[-1]:.2f}, "
            f"peak {plan['peak'] / 1e6:,.0f} MB"
        )
    ratio, peak = statistics.median(ratios), max(peaks)
    good = ratio <= MOST_RATIO and peak < MOST_BYTES
    print(
        f"ratio {ratio:.2f} (at most {MOST_RATIO}), peak {peak / 1e6:,.0f} MB (below {MOST_BYTES / 1e6:,.0f} MB): "
        f"{'holds' if good else 'does not hold'}"
    )
    return 0 if good else 1


def _in_process(kind: str, folder: Path, everything: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.selection", "--one", kind, "--folder", str(folder)]
    done = subprocess.run([*command, *(["--all"] if everything else [])], check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _one(kind: str, folder: Path, everything: bool) -> dict[str, float]:
    storage = open_storage(folder)
    start = time.perf_counter()
    counts = _plan(storage, folder, everything) if kind == "plan" else _raw(storage, folder)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, **counts}


def _plan(storage: Storage, folder: Path, everything: bool) -> dict[str, float]:
    storage.delete("plans")
    policy = Policy.model_validate(
        {**POLICY, "select": {"from": POLICY["select"]["from"], "order_by": ["-size", "accessed"]}}  # type: ignore[index]
        if everything
        else POLICY
    )
    inventory = Finished.model_validate_json(storage.get("inventories/bench/inventory.json")).inventory
    request = PlanRequest(policy=policy, inventory=inventory, as_of_us=NOW)
    plan = make_plan(storage, Bulk(MEMORY, folder / "spill"), request)
    return {"files": plan.files, "batches": plan.batches}


def _raw(storage: Storage, folder: Path) -> dict[str, float]:
    """Scan the columns that the plan needs and sort all rows, in the plan's order and within its memory."""
    bulk = Bulk(MEMORY, folder / "spill")
    columns = "path, extension, size, accessed, modified, changed"
    with bulk.folder() as scratch, bulk.database(scratch) as database:
        source = reading(inventory_parts(storage, "bench", scratch))
        query = f"SELECT {columns} FROM {source} ORDER BY size DESC NULLS LAST, accessed NULLS LAST, path"
        rows = sum(batch.num_rows for batch in database.sql(query).to_arrow_reader(122_880))
    return {"files": rows}


def generate(storage: Storage, rows: int) -> None:
    """Make paths of about 95 bytes, ages up to three years and sizes over nine decades."""
    if storage.exists("inventories/bench/inventory.json"):
        return
    local = storage.local_path("inventories/bench/x")
    assert local is not None
    local.parent.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    with duckdb.connect() as database:
        database.execute("SELECT setseed(0.42)").fetchall()
        for start in range(0, rows, PART):
            table = database.sql(_rows(start, min(rows, start + PART))).to_arrow_table().cast(SCHEMA)
            parts.append(f"part-{len(parts):05d}.parquet")
            write_parquet(table, local.with_name(parts[-1]))
    size = sum(pq.read_metadata(local.with_name(part)).num_rows for part in parts)
    inventory = InventoryRef(name="bench", files=size, bytes=0, taken_us=NOW)
    finished = Finished(inventory=inventory, parts=tuple(parts))
    storage.put("inventories/bench/inventory.json", finished.model_dump_json().encode())


def _rows(start: int, end: int) -> str:
    return f"""
        SELECT '/mmfs1/projects/' || ['feature', 'series', 'legal', 'archive', 'shots'][1 + (i // 100000) % 5]
               || '/production-' || lpad((i // 5000)::VARCHAR, 6, '0')
               || '/sequence-' || lpad((i // 100)::VARCHAR, 8, '0')
               || '/plate_v003_graded_' || lpad(i::VARCHAR, 10, '0') || '.' || extension AS path,
               extension,
               floor(exp(random() * 20 + 3))::BIGINT AS size,
               NULL::BIGINT AS disk_usage,
               {NOW} - floor(random() * 1095 * {DAY})::BIGINT AS accessed,
               {NOW} - floor(random() * 1095 * {DAY})::BIGINT AS modified,
               {NOW} - floor(random() * 1095 * {DAY})::BIGINT AS changed,
               'resident' AS status, 'user' || (i % 50) AS owner, 'staff' AS "group", NULL::VARCHAR AS metadata
        FROM (SELECT i, ['mov', 'mxf', 'dpx', 'exr', 'wav', 'txt', 'jpg', 'xml'][1 + (hash(i) % 8)::INTEGER]
                     AS extension
              FROM range({start}, {end}) t(i))
    """


if __name__ == "__main__":
    sys.exit(main())
