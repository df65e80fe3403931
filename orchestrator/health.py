"""What this product depends on, asked one by one: is it there, how well, and what to do when it is not."""

import asyncio
import importlib.metadata
import platform
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from orchestrator.settings import Settings

_SKEW_WARNS = 60.0
_SKEW_FAILS = 600.0
_FREE_WARNS = 5 << 30
_FREE_FAILS = 512 << 20


class Health(StrEnum):
    """How well something is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was found about one thing; `advice` says what to do about a warning or a failure."""

    about: str
    health: Health
    found: str
    advice: str = ""

    @property
    def sentence(self) -> str:
        """What was found and what to do, in one line."""
        return f"{self.found}{'' if self.found.endswith(('.', '?', '!')) else '.'} {self.advice}".rstrip()


async def examine(settings: Settings, *, embedded: bool, local_hub: bool) -> AsyncIterator[Finding]:
    """Ask about everything; each finding comes as soon as it is there."""
    yield software()
    yield await asyncio.to_thread(state_folder, settings)
    yield await asyncio.to_thread(policies, settings)
    yield await asyncio.to_thread(audit, settings)
    yield await asyncio.to_thread(notices, settings)
    yield await (embedded_temporal(settings) if embedded else temporal(settings))
    if not embedded:
        from orchestrator.schedule_health import schedules_go_on

        going_on = await schedules_go_on(settings)
        if going_on is not None:
            yield going_on
    if local_hub:
        yield Finding("Hub", Health.OK, "a local Hub starts when one is needed (ORCHESTRATOR_HUB_URL is not set)")
        return
    for finding in await hub(settings):
        yield finding


def software() -> Finding:
    """Which versions these are."""
    names = ("temporalio", "duckdb", "pyarrow", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    own = importlib.metadata.version("tiering-orchestrator")
    return Finding("Software", Health.OK, f"orchestrator {own}, Python {platform.python_version()}, {versions}")


def state_folder(settings: Settings) -> Finding:
    """Whether the state directory can be written, and has room."""
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        advice = "Set ORCHESTRATOR_STATE_DIR to a folder that this user can make and write."
        return Finding("State", Health.FAIL, f"{folder}: {error.strerror}", advice)
    free = shutil.disk_usage(folder).free
    health = Health.FAIL if free < _FREE_FAILS else Health.WARN if free < _FREE_WARNS else Health.OK
    advice = "" if health is Health.OK else "Free some space: inventories and selections need it."
    return Finding("State", health, f"{folder}, {free / (1 << 30):.1f} GiB free", advice)


def policies(settings: Settings) -> Finding:
    """How many policies there are, and whether they can be read."""
    from orchestrator.catalog import PolicyError, load_catalog

    folder = settings.policies_dir
    if not folder.is_dir():
        return Finding("Policies", Health.WARN, f"{folder} is not there", "Set ORCHESTRATOR_POLICIES_DIR.")
    try:
        found = load_catalog(folder)
    except PolicyError as error:
        return Finding("Policies", Health.FAIL, str(error).splitlines()[0], "`orchestrator check` shows all of it.")
    return Finding("Policies", Health.OK, f"{len(found)} in {folder}")


def audit(settings: Settings) -> Finding:
    """Whether the audit's database can be used."""
    from activities.ledger.log import AuditLog
    from activities.ledger.records import AuditError

    log = AuditLog(settings.audit.get_secret_value())
    try:
        last = log.records(limit=1, newest=True)
    except AuditError as error:
        where = "ORCHESTRATOR_STATE_DIR" if settings.audit_url is None else "ORCHESTRATOR_AUDIT_URL"
        return Finding("Audit", Health.FAIL, str(error), f"Check {where}.")
    finally:
        log.close()
    count = f"{last[0].seq:,} records" if last else "empty"
    return Finding("Audit", Health.OK, f"{'SQLite' if settings.audit_url is None else 'database'}, {count}")


def notices(settings: Settings) -> Finding:
    """Whether people hear of what happens: the targets are known, and what was made arrived."""
    from activities.ledger.records import AuditError
    from orchestrator.notices import how_targets_do, outbox_of
    from orchestrator.notify_file import load_targets, unknown_services
    from orchestrator.settings import SettingsError

    try:
        targets = load_targets(settings)
    except SettingsError as error:
        return Finding("Notices", Health.FAIL, str(error).splitlines()[0], "Correct the file: nobody is told now.")
    if odd := unknown_services(targets):
        return Finding("Notices", Health.FAIL, f"no known service: {', '.join(odd)}", "`orchestrator notify test`.")
    try:
        with outbox_of(settings) as outbox:
            found = how_targets_do(targets, outbox)
    except AuditError as error:
        return Finding("Notices", Health.FAIL, str(error), "Check the audit's database, beside which they are kept.")
    down = [name for name, how in found.items() if how.failures or name not in targets.targets]
    waiting = sum(how.waiting for how in found.values())
    if down:
        advice = "`orchestrator notify list` tells why."
        return Finding("Notices", Health.WARN, f"{waiting:,} wait; trouble with {', '.join(down)}", advice)
    if not targets.targets:
        advice = "Set ORCHESTRATOR_NOTIFY_FILE (docs/notifications.md), or nobody hears of a failed run."
        return Finding("Notices", Health.WARN, "no target is set", advice)
    return Finding("Notices", Health.OK, f"{len(targets.targets)} targets, {waiting:,} notices wait")


async def embedded_temporal(settings: Settings) -> Finding:
    """Whether the embedded Temporal can be started."""
    from orchestrator.services import StackError
    from orchestrator.stack import temporal_binary

    try:
        binary = temporal_binary()
        asking = await asyncio.create_subprocess_exec(binary, "--version", stdout=asyncio.subprocess.PIPE)
        version = (await asking.communicate())[0].decode().strip()
    except (StackError, OSError) as error:
        return Finding("Temporal", Health.FAIL, str(error), "Install it again: `make install`.")
    return Finding("Temporal", Health.OK, f"embedded, starts when one is needed ({version})")


async def temporal(settings: Settings) -> Finding:
    """Whether Temporal answers, and whether a worker serves our queue."""
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, GetSystemInfoRequest
    from temporalio.service import RPCError

    from orchestrator.temporal import TemporalUnreachable, connect

    try:
        client = await connect(settings, within=5)
        version = (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version
        queue = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=settings.task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    except TemporalUnreachable as error:
        found, advice = f"no answer at {error.address}", "Start it, or correct TEMPORAL_ADDRESS or the profile."
        return Finding("Temporal", Health.FAIL, found, advice)
    except RPCError as error:
        return Finding("Temporal", Health.FAIL, error.message, "Check the namespace and the key of the profile.")
    recent = [one for one in queue.pollers if time.time() - one.last_access_time.seconds < 75]
    found = f"{client.service_client.config.target_host}, server {version}, namespace {client.namespace}"
    if not recent:
        advice = "Start one: `orchestrator worker`."
        return Finding("Temporal", Health.WARN, f"{found}; no worker on the queue {settings.task_queue!r}", advice)
    return Finding("Temporal", Health.OK, f"{found}; workers on {settings.task_queue!r}: {len(recent)}")


async def hub(settings: Settings, *, within: float = 20.0) -> list[Finding]:
    """Whether the Hub answers, knows us, and has the right time."""
    from activities.errors import AuthError, Forbidden, HubError
    from orchestrator.hub import open_hub

    began = time.monotonic()
    try:
        async with asyncio.timeout(within), open_hub(settings) as client:
            answer = await client.request("GET", "/sites/", params={"page_size": 20})
            asked = datetime.now(UTC)
    except (AuthError, Forbidden) as error:
        advice = "Check ORCHESTRATOR_HUB_KEY, or the user and the password."
        return [Finding("Hub", Health.FAIL, f"{settings.hub_url} refuses the credentials: {error}", advice)]
    except (HubError, ValueError, TimeoutError) as error:
        text = str(error) or f"no answer within {within:.0f} s"
        advice = "Check ORCHESTRATOR_HUB_URL, the key, and that it runs."
        return [Finding("Hub", Health.FAIL, f"{settings.hub_url}: {text}", advice)]
    took = (time.monotonic() - began) * 1000
    sites = answer.json()
    names = [str(site.get("name")) for site in (sites.get("results", []) if isinstance(sites, dict) else sites)]
    found = [Finding("Hub", Health.OK, f"{settings.hub_url}, {took:.0f} ms, sites: {', '.join(names) or 'none'}")]
    date = answer.headers.get("date")
    if date is None:
        return [*found, Finding("Clock", Health.WARN, "the Hub sends no time", "Compare the clocks by hand.")]
    skew = (parsedate_to_datetime(date) - asked).total_seconds()
    health = Health.FAIL if abs(skew) > _SKEW_FAILS else Health.WARN if abs(skew) > _SKEW_WARNS else Health.OK
    advice = "" if health is Health.OK else "Ages are measured by this machine's clock: set both right (NTP)."
    how = "as this machine's" if abs(skew) <= 2 else f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    return [*found, Finding("Clock", health, f"the Hub's is {how}", advice)]
