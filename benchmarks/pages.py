"""How fast the dashboard and the API answer, with much in the store: `python -m benchmarks.pages`.

There are 1,000 policies, applied versions as `apply` writes them, each with its Schedule in Temporal, and 10,000 runs
that have ended: what runs leave in the audit (start, plan, round, jobs, end), written in one go. Temporal was not asked
to run ten thousand workflows, and nobody asks it about runs that have ended. What is open is real: one run waits for an
approval, on a real Temporal with a worker and the local Hub. Pages are asked for one after the other, over one
connection. What happened to a file is looked for in every run, and has a bound of its own.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx

from activities.ledger.log import AuditLog
from activities.ledger.records import AuditRecord
from activities.storage import open_storage
from orchestrator.catalog import read_policy
from orchestrator.engine import open_engine
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import running_settings
from orchestrator.versions import Versions
from tests.dashboard import ALERTED, PURGE, Installation

BOUND_MS = 200.0
LOOK_MS = 5_000.0
JOBS = 3
_AT_ONCE = 4000

POLICY = """\
version: 1
name: archive-{number:04d}
description: Move what nobody opened in project {number} for 90 days.
site: london
triggers:
  - schedule: {{cron: "{minute} {hour} * * *", timezone: Europe/Berlin}}
select:
  from: {{space: projects}}
  paths: [/mmfs1/projects/p{number:04d}]
  rules:
    - {{name: media, match: {{all: [{{type: [mov, mxf]}}, {{accessed: "> 90d"}}]}}}}
run: {{workflow: migrate, batch: {{files: 100}}}}
"""


def main() -> int:
    """Measure every page; 1 when one is over the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=21)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        there = Installation(Path(folder) / "machine")
        try:
            there.start()
            return _measured(there, given.policies, given.runs, given.times)
        finally:
            there.close()


def _measured(there: Installation, policies: int, runs: int, times: int) -> int:
    there.fill("renders", "tmp", 40, 10_000)
    there.fill("ingest", "wav", 12, 10_000)
    there.apply(PURGE)
    there.apply(ALERTED)
    ended = str(there.machine.json("run", "migrate-on-alert", "--wait", "--reason", "for the benchmark")["run_id"])
    there.begin("purge-old-renders", "for the benchmark")
    settings = load_settings(state_dir=there.machine.state)
    log = AuditLog(settings.audit.get_secret_value())
    began = time.monotonic()
    _policies(Versions(log, open_storage(settings.storage)), policies)
    asyncio.run(_schedules(settings, policies))
    last = _runs(log, runs, policies)
    records = log.end()[0]
    log.close()
    print(f"{policies:,} policies and {runs:,} runs, {records:,} records, written in {time.monotonic() - began:.0f} s")
    token = there.token("ann", "admin")
    over = False
    with httpx.Client(base_url=there.url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:
        digest = client.get(f"/runs/{ended}").text.partition('href="/plans/')[2][:64]
        pages = [
            "/", "/runs", "/runs?state=failed", "/runs?policy=archive-0007", f"/runs/{last}", f"/runs/{ended}",
            f"/runs/{ended}/files", "/plans", f"/plans/{digest}", f"/plans/{digest}/files", "/policies",
            "/policies?page=11", "/policies?name=archive-09", "/policies/archive-0007", "/pools", "/events", "/audit",
            "/audit?event=run.ended", "/audit?policy=archive-0007", "/audit?text=0007", "/audit/1000",
            "/audit/file?path=/mmfs1/projects/none", "/audit/file?path=/mmfs1/projects/ingest/shot_0003.wav",
            *(f"/api/v1{path}" for path in (
                "/policies", "/policies/archive-0007", "/policies/archive-0007/versions", "/runs", f"/runs/{ended}",
                f"/runs/{ended}/jobs", f"/runs/{ended}/files", "/plans", f"/plans/{digest}", "/approvals", "/pools",
                "/events", "/holds", "/starts", "/quarantine", "/limits", "/audit", "/audit?event=run.ended", "/health",
            )),
        ]  # fmt: skip
        for page in pages:
            took = []
            for _ in range(times + 1):
                start = time.perf_counter()
                answer = client.get(page)
                took.append(1000 * (time.perf_counter() - start))
                assert answer.status_code == 200, (page, answer.status_code)
            median = statistics.median(took[1:])
            bound = LOOK_MS if page.startswith("/audit/file") else BOUND_MS
            over |= median > bound
            said = page.replace(digest, digest[:8]).replace(ended, "RUN").replace(last, "RUN-OF-RECORDS")
            mark = "  OVER" if median > bound else ""
            print(
                f"{said:<34} median {median:6.1f} ms, slowest {max(took[1:]):6.1f}, first {took[0]:6.1f}{mark}",
                flush=True,
            )
    print(f"bound: {BOUND_MS:.0f} ms at the median, {LOOK_MS:.0f} for a look through every run")
    return int(over)


def _policies(versions: Versions, count: int) -> None:
    for number in range(count):
        text = POLICY.format(number=number, minute=number % 60, hour=number % 24)
        versions.add(read_policy(text.encode(), f"{number}.yaml"), 1, actor="ann@studio", reason="the yearly catalog")


async def _schedules(settings: Settings, count: int) -> None:
    async with open_engine(running_settings(settings)) as engine:
        versions = engine.versions.current()
        gate = asyncio.Semaphore(20)

        async def put(number: int) -> None:
            version = versions[f"archive-{number:04d}"]
            async with gate:
                for wanted in engine.schedules.wanted(engine.versions.policy(version), version.number):
                    await engine.schedules.put(wanted)

        await asyncio.gather(*map(put, range(count)))


def _runs(log: AuditLog, count: int, policies: int) -> str:
    now, run = datetime.now(UTC), ""
    waiting: list[AuditRecord] = []
    for number in range(count):
        policy = f"archive-{number % policies:04d}"
        begun = now - timedelta(minutes=count - number)
        run = f"{policy}-{begun:%Y%m%dT%H%M%SZ}-{number:08x}"
        waiting += _records(run, policy, number, begun)
        if len(waiting) >= _AT_ONCE:
            log.append_many(waiting)
            waiting = []
    log.append_many(waiting)
    return run


def _records(run: str, policy: str, number: int, begun: datetime) -> list[AuditRecord]:
    digest = sha256(run.encode()).hexdigest()
    failed = number % 50 == 0
    files = 100 * JOBS

    def record(event: str, place: object, body: dict[str, object], actor: str = "engine") -> AuditRecord:
        return AuditRecord(event=event, actor=actor, run=run, key=f"{run}/{event}/{place}", body=body)

    outcomes = {
        "done": files - 2 if failed else files, "skipped": {}, "failed": {"target_error": 2} if failed else {},
        "cancelled": 0, "quarantined": 0, "bytes_done": files << 20,
    }  # fmt: skip
    found = [
        record("run.started", 0, {"policy": policy, "policy_digest": digest, "version": 1, "site": "london",
                                  "reason": "schedule"}, "schedule"),
        record("plan.made", 0, {"policy": policy, "digest": digest, "manifest": f"plans/{digest}", "files": files,
                                "as_of_us": round(begun.timestamp() * 1e6), "bytes": files << 20, "batches": JOBS,
                                "rules": [], "passed_over": {}, "scope_files": files, "scope_bytes": files << 20,
                                "inventory": run, "inventory_taken_us": 0, "truncated_by_guard": False}),
        record("round.started", 1, {"number": 1, "manifest": f"plans/{digest}", "files": files, "batches": JOBS,
                                    "stage": 1}),
    ]  # fmt: skip
    for job in range(JOBS):
        of = {"site": "london", "job": number * JOBS + job, "round": 1, "batch": job, "files": 100}
        counts = {"done": 100, "skipped": {}, "failed": {}, "cancelled": 0, "quarantined": 0, "bytes_done": 100 << 20}
        sent = {**of, "workflow": "migrate", "batch_digest": digest, "bytes": 100 << 20}
        found.append(record("job.submitted", job, sent))
        found.append(record("job.ended", job, {**of, "state": "SUCCESS", "counts": counts}))
    end = begun + timedelta(seconds=40)
    found.append(record("run.ended", 0, {
        "policy": policy, "version": 1, "state": "failed" if failed else "succeeded", "outcomes": outcomes,
        "outcomes_digest": digest, "jobs": JOBS, "trouble": None, "started": begun.isoformat(),
        "finished": end.isoformat(),
    }))  # fmt: skip
    return found


if __name__ == "__main__":
    sys.exit(main())
