"""Which other plan a plan is compared with: the last one, another policy's or version's, a run's, one by digest."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from activities.ledger.events import Event
from activities.ledger.log import AuditLog
from activities.manifests import Head, ManifestDamaged, read_head
from activities.storage import Missing, Storage, open_storage
from orchestrator.catalog import load_policy
from orchestrator.settings import Settings
from orchestrator.versions import Versions
from workflows.payload import Payload
from workflows.plan import Plan
from workflows.policy import Policy

_DIGEST = re.compile(r"(?:plans/)?([0-9a-f]{64})")
_VERSION = re.compile(r"v([0-9]{1,9})")


class NoOtherPlan(LookupError):
    """There is nothing to compare with; the text says what to name instead."""


@dataclass(frozen=True)
class OtherPlan:
    """A plan that is there already, in words and by its manifest."""

    words: str
    manifest: str


@dataclass(frozen=True)
class OtherPolicy:
    """A policy that is still to be planned, in words."""

    words: str
    policy: Policy


class LastPlan(Payload):
    """The last plan that somebody looked at, kept under `previews/` for each policy and site."""

    manifest: str
    made: datetime


def find_other(settings: Settings, policy: Policy, text: str) -> OtherPlan | OtherPolicy | None:
    """Find what `last`, `v3`, a policy file, a run or a plan's digest names; raises NoOtherPlan, PolicyError.

    None is given for `last` where this plan is the first.
    """
    storage, log = open_storage(settings.storage), AuditLog(settings.audit.get_secret_value())
    if text == "last":
        return _last(storage, log, policy)
    if digest := _DIGEST.fullmatch(text):
        return _of_digest(storage, f"plans/{digest[1]}")
    if version := _VERSION.fullmatch(text):
        return _of_version(Versions(log, storage), policy, int(version[1]))
    if Path(text).suffix in (".yaml", ".yml"):
        other = load_policy(Path(text))
        if policy.one_site not in other.all_sites:
            raise NoOtherPlan(f"{text}: is not for the site {policy.one_site}, so there is nothing to compare")
        return OtherPolicy(text, other.at(policy.one_site))
    made = log.records(run=text, event=Event.PLAN_MADE) if log.is_there() else []
    if made:
        return OtherPlan(f"the plan of {text}", made[-1].body["manifest"])
    raise NoOtherPlan(
        f"{text}: expected `last`, a version such as v3, a policy's YAML file, a run that made a plan, or a digest"
    )


def keep_as_last(storage: Storage, policy: Policy, plan: Plan, now: datetime) -> None:
    """Remember the plan as the last one of its policy and site."""
    storage.put(_kept(policy), LastPlan(manifest=plan.manifest, made=now).model_dump_json().encode())


def _last(storage: Storage, log: AuditLog, policy: Policy) -> OtherPlan | None:
    found = [one for one in (_last_preview(storage, policy), _last_of_a_run(storage, log, policy)) if one is not None]
    return max(found, key=lambda one: one[0])[1] if found else None


def _last_preview(storage: Storage, policy: Policy) -> tuple[datetime, OtherPlan] | None:
    try:
        last = LastPlan.model_validate_json(storage.get(_kept(policy)))
        read_head(storage, last.manifest)
    except (Missing, ManifestDamaged):
        return None
    return last.made, OtherPlan(f"the plan of {_when(last.made)}", last.manifest)


def _last_of_a_run(storage: Storage, log: AuditLog, policy: Policy) -> tuple[datetime, OtherPlan] | None:
    made = log.records(event=Event.PLAN_MADE, newest=True) if log.is_there() else []
    for record in reversed(made):
        if record.body.get("policy") != policy.name:
            continue
        try:
            head = read_head(storage, record.body["manifest"])
        except ManifestDamaged:
            continue
        if _site(head) == policy.one_site:
            at = datetime.fromisoformat(record.at)
            return at, OtherPlan(f"the plan of {record.run}, {_when(at)}", record.body["manifest"])
    return None


def _of_version(versions: Versions, policy: Policy, number: int) -> OtherPolicy:
    found = next((one for one in versions.history(policy.name) if one.number == number and not one.removed), None)
    if found is None:
        raise NoOtherPlan(
            f"v{number}: {policy.name} has no applied version {number}; `orchestrator history {policy.name}` lists them"
        )
    other = versions.policy(found)
    if policy.one_site not in other.all_sites:
        raise NoOtherPlan(f"v{number}: was not for the site {policy.one_site}, so there is nothing to compare")
    return OtherPolicy(f"version {number}", other.at(policy.one_site))


def _of_digest(storage: Storage, manifest: str) -> OtherPlan:
    try:
        head = read_head(storage, manifest)
    except ManifestDamaged:
        raise NoOtherPlan(f"{manifest}: there is no such plan here, or it is damaged") from None
    return OtherPlan(f"the plan {head.digest[:12]}", manifest)


def _site(head: Head) -> str | None:
    return Policy.model_validate_json(head.policy).one_site if head.policy else None


def _kept(policy: Policy) -> str:
    site = re.sub(r"[^A-Za-z0-9.-]", lambda one: f"_{ord(one[0]):x}_", policy.one_site)
    return f"previews/{policy.name}/site-{site}.json"


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
