"""The steps of the rehearsal: settings of its own, the Hub's pools, a run, a recall, and what is proved by them."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from activities.hub import jobs
from activities.hub.jobs import SubmitRequest
from activities.hub.storagepools import storagepools
from activities.ledger.log import AuditLog
from orchestrator.demo.project import Project
from orchestrator.demo.proof import Claim, is_back, prove
from orchestrator.hub import open_hub
from orchestrator.outcome_files import Wanted, read_files
from orchestrator.settings import Settings, load_settings
from orchestrator.stack import local_hub_root
from workflows.names import to_path
from workflows.policy import Policy
from workflows.run import RunReport

SITE = "london"
_MOUNTED = b"/mmfs1/projects/"
_NEVER_HERE = (
    "hub_url", "hub_key", "hub_key_file", "hub_username", "hub_password", "hub_password_file",
    "store_url", "audit_url", "audit_url_file", "temporal_address",
)  # fmt: skip
_FAULTS = {
    "rules": [
        {
            "name": "a busy target",
            "match": {"workflow": "migrate", "percent": 2},
            "action": {"kind": "path_fail", "code": "target_error", "message": "the target is busy", "times": 1},
        },
        {
            "name": "a lost answer",
            "match": {"method": "POST", "path": "/api/file/workflow/"},
            "action": {"kind": "drop_after"},
            "schedule": {"after": 2, "limit": 1},
        },
    ]
}
"""What the local Hub does wrong: 2% of the files fail once, and one answer to a submit is lost."""


def own_settings(folder: Path) -> Settings:
    """Settings that use nothing but this folder, whatever the environment says of Hub, Temporal and stores."""
    faults = folder / "faults.json"
    faults.write_text(json.dumps(_FAULTS))
    nothing = dict.fromkeys(_NEVER_HERE)
    return load_settings(
        state_dir=folder, localhub_root=folder / "files", localhub_options=f"--faults '{faults}'", **nothing
    )


def projects_folder(settings: Settings) -> Path:
    """Where the local Hub keeps the files of its space `projects`."""
    return local_hub_root(settings) / SITE / "projects"


async def pools(settings: Settings) -> dict[str, tuple[int, int]]:
    """How full each pool of the Hub is: used and capacity, in bytes."""
    async with open_hub(settings) as hub:
        return {pool.name: (pool.used_space, pool.capacity) async for pool in storagepools(hub)}


async def run(settings: Settings, policy: Policy, stay: "Callable[..., Awaitable[RunReport]]") -> RunReport:
    """Run the policy; `stay` is given the client and the run's name, and waits for its end."""
    from orchestrator.runs import start_run
    from orchestrator.temporal import connect

    client = await connect(settings)
    return await stay(client, await start_run(client, settings, policy, actor="demo", reason="a rehearsal"))


def proof(settings: Settings, project: Project, report: RunReport, written: Callable[[int], str]) -> Iterator[Claim]:
    """Prove the run by the disk, by the Hub and by the audit; `written` gives bytes as people read them."""
    done = {_relative(row["path"]) for row in read_files(settings, report.run, Wanted(outcome="done"))}
    yield from prove(project, local_hub_root(settings) / "nearline" / "projects", done, written)
    planned = report.plan.files if report.plan else 0
    yield Claim(
        f"{planned:,} planned files have exactly one outcome each", planned == report.outcomes.total == len(done)
    )
    known, twice = asyncio.run(_jobs_at_the_hub(settings))
    text = f"{known} jobs at the Hub, {report.jobs} in the run, no batch sent twice"
    yield Claim(text, known == report.jobs and not twice)
    log = AuditLog(settings.audit.get_secret_value())
    verdict = log.verify()
    log.close()
    yield Claim(f"the audit's chain of {verdict.count} records is whole", verdict.ok)
    if done:
        path = next((one for one in sorted(done) if b"\n" in one), min(done))
        asyncio.run(_recall(settings, path))
        yield is_back(project, path)


async def _jobs_at_the_hub(settings: Settings) -> tuple[int, bool]:
    async with open_hub(settings) as hub:
        numbers = sorted([job.id async for job in jobs.find(hub, SITE, "migrate")])
        seen: set[str] = set()
        twice = False
        for number in numbers:
            paths = {path async for path in jobs.paths(hub, number)}
            again = paths & seen
            twice = twice or again not in (set(), paths)  # A later round sends nothing but files of earlier jobs.
            seen |= paths
        return len(numbers), twice


async def _recall(settings: Settings, path: bytes) -> None:
    async with open_hub(settings) as hub:
        request = SubmitRequest(site=SITE, workflow="recall", paths=[os.fsdecode(_MOUNTED + path)])
        job = await jobs.submit(hub, request)
        for _ in range(600):
            if (await jobs.state(hub, job)).final:
                return
            await asyncio.sleep(0.1)


def _relative(text: str) -> bytes:
    return os.fsencode(to_path(text)).removeprefix(_MOUNTED)
