"""Plans that runs have made: which, what their manifests say, what is in them, a page of their files."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

from activities.bulk import Bulk
from activities.ledger.events import Event
from activities.ledger.finding import Wanted
from activities.ledger.log import AuditLog
from activities.ledger.records import Stored, quoted
from activities.manifests import HEAD, open_manifest, read_head, read_rows
from activities.plan_report import PlanReport
from activities.plan_report import report_plan as count_plan
from activities.quarantine import Quarantine
from activities.storage import Missing, Storage, open_storage
from orchestrator.settings import Settings
from workflows.plan import Plan
from workflows.policy import Policy

_PAGE = 500
_MOST_RUNS = 100


class NoSuchPlan(LookupError):
    """No plan of this digest is in the storage."""


class InventoryGone(LookupError):
    """The plan's inventory is not there any more: what is in the plan can be listed, but not be counted anew."""


@dataclass(frozen=True)
class MadePlans:
    """Some plans, the newest first; `following` leads to the next ones."""

    plans: list[dict[str, Any]]
    following: int | None


@dataclass(frozen=True)
class PlanFiles:
    """Some files of a plan in their order, and how many there are."""

    files: list[dict[str, Any]]
    total: int


def made_plans(
    log: AuditLog, *, policy: str | None, run: str | None, limit: int, before: int | None = None
) -> MadePlans:
    """Give the plans that runs have made, the newest first."""
    if not log.is_there():
        return MadePlans([], None)
    said = () if policy is None else (f'"policy":{quoted(policy)}',)
    page = log.find(Wanted(run=run, event=Event.PLAN_MADE, said=said), before=before, limit=limit)
    plans = [
        {
            "seq": one.seq,
            "at": one.at,
            "run": one.run,
            "policy": str(one.body.get("policy", "")),
            **{word: one.body[word] for word in ("digest", "files", "bytes", "batches")},
        }
        for one in reversed(page.records)
    ]
    return MadePlans(plans, page.older)


def plan_head(settings: Settings, log: AuditLog, digest: str) -> dict[str, Any]:
    """Give what the manifest says of a plan, and the audit. Raises NoSuchPlan and ManifestDamaged."""
    storage = open_storage(settings.storage)
    head = read_head(storage, _manifest(storage, digest))
    policy = Policy.model_validate_json(head.policy) if head.policy else None
    made = _made(log, digest)
    last = made[-1].body if made else {}
    return {
        **head.model_dump(include={"digest", "policy_digest", "files", "bytes", "batches"}),
        "policy": None if policy is None else policy.name,
        "site": None if policy is None else policy.one_site,
        "as_of": datetime.fromtimestamp(head.as_of_us / 1_000_000, UTC),
        "rules": [rule.model_dump() for rule in head.rules],
        "passed_over": last.get("passed_over", {}),
        "scope_files": last.get("scope_files"),
        "scope_bytes": last.get("scope_bytes"),
        "truncated_by_guard": last.get("truncated_by_guard"),
        "runs": [str(one.run) for one in made],
    }


def plan_files(settings: Settings, digest: str, *, offset: int, limit: int) -> PlanFiles:
    """Give some files of a plan; only the batches that hold them are read. Raises NoSuchPlan and ManifestDamaged."""
    storage = open_storage(settings.storage)
    manifest = open_manifest(storage, _manifest(storage, digest))
    ends = list(accumulate(manifest.index["files"].to_pylist()))
    batch = bisect_right(ends, offset)
    found: list[dict[str, Any]] = []
    while batch < len(ends) and len(found) < limit:
        begin = ends[batch - 1] if batch else 0
        rows = read_rows(storage, manifest.name, batch).slice(max(0, offset - begin), limit - len(found))
        found += rows.to_pylist()
        batch += 1
    return PlanFiles(found, ends[-1] if ends else 0)


def report_of(settings: Settings, log: AuditLog, digest: str) -> dict[str, Any]:
    """Count what is in a plan. Raises NoSuchPlan, InventoryGone and ManifestDamaged."""
    storage = open_storage(settings.storage)
    head = read_head(storage, _manifest(storage, digest))
    made = _made(log, digest)
    if not made or head.policy is None:
        raise InventoryGone("No run has made this plan, so what it was made from is not known.")
    plan = Plan.model_validate({**made[-1].body, "policy_digest": head.policy_digest})
    bulk = Bulk(int(settings.selection_memory), settings.spill_dir)
    quarantine = Quarantine(settings.quarantine.get_secret_value())
    try:
        report = count_plan(storage, bulk, Policy.model_validate_json(head.policy), plan, quarantine)
    except Missing:
        raise InventoryGone(
            "The plan's inventory is not there any more: its files can be listed, but not be counted anew."
        ) from None
    finally:
        quarantine.close()
    return _document(plan, report)


def _document(plan: Plan, report: PlanReport) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "files": plan.files,
        "bytes": plan.bytes,
        **report.model_dump(mode="json"),
        "idle_rules": list(report.idle_rules),
        "idle_excludes": list(report.idle_excludes),
    }


def _made(log: AuditLog, digest: str) -> list[Stored]:
    """Give the records of the newest runs that made a plan, in their order."""
    if not log.is_there():
        return []
    said = (f'"digest":{quoted(digest)}',)
    return log.find(Wanted(event=Event.PLAN_MADE, said=said), limit=_MOST_RUNS).records


def _manifest(storage: Storage, digest: str) -> str:
    name = f"plans/{digest}"
    if not storage.exists(f"{name}/{HEAD}"):
        raise NoSuchPlan(f"There is no plan {digest}.")
    return name
