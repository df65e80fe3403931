"""How long it takes to say what happened to a file, over thousands of runs.

python -m benchmarks.audit_file [--runs 5000] [--files 2000]
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from activities.audit import AuditLog, AuditRecord, Event
from activities.closing import SCHEMA, outcome_writer
from orchestrator.auditing.files import history_of
from orchestrator.settings import load_settings

BOUND = 10.0
WANTED = "/a/project-7/file-000123.dat"


def told(run: str, event: str, **body: Any) -> AuditRecord:
    return AuditRecord(event=event, actor="engine", run=run, key=f"{run}/{event}", body=body)


def keep_run(store: Path, number: int, files: int, *, with_it: bool) -> list[AuditRecord]:
    """Keep the records and the outcomes of a run, which had the wanted file or not."""
    run, folder = f"nightly-{number:05}", store / "runs" / f"nightly-{number:05}"
    folder.mkdir(parents=True)
    paths = [f"/a/project-{number % 97}/file-{(place * 7919) % 1_000_003 + 1000:07}.dat" for place in range(files)]
    if with_it:
        paths[files // 2] = WANTED
    table = pa.table(
        [
            pa.array(range(files)),
            pa.array(paths),
            pa.array([1 << 20] * files),
            pa.array(["cold"] * files),
            pa.array(["done"] * files),
            pa.nulls(files, pa.string()),
            pa.array([""] * files),
            pa.array([1] * files, pa.int32()),
            pa.array(range(files)),
        ],
        schema=SCHEMA,
    )
    with outcome_writer(folder / "outcomes.parquet", files) as writer:
        writer.write_table(table)
    begun = {"policy": "nightly", "version": 1, "site": "london", "reason": "schedule"}
    planned = {"policy": "nightly", "digest": f"{number:064}", "manifest": f"plans/{number:064}", "files": files}
    return [told(run, Event.RUN_STARTED, **begun), told(run, Event.PLAN_MADE, **planned)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--files", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audit-file-") as folder:
        settings = load_settings(state_dir=Path(folder))
        log, records = AuditLog(settings.audit.get_secret_value()), []
        for number in range(given.runs):
            records += keep_run(Path(settings.storage), number, given.files, with_it=number % 500 == 3)
        for start in range(0, len(records), 1000):
            log.append_many(records[start : start + 1000])
        log.close()
        began = time.perf_counter()
        found = history_of(settings, WANTED)
        took = time.perf_counter() - began
    assert found.runs_in_all == len(range(3, given.runs, 500)), found
    print(
        f"{found.looked_at:,} runs of {given.files:,} files looked at, {found.runs_in_all} had the file: {took:.1f} s "
        f"(bound {BOUND:.0f} s)",
        flush=True,
    )


if __name__ == "__main__":
    main()
