"""Policies: what the folder holds and what is applied, the versions and what changed between them."""

import asyncio
import difflib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from activities.holds import Hold, Holds, over
from orchestrator.applied import There
from orchestrator.applied_runs import start_applied
from orchestrator.engine import Engine
from orchestrator.holding import pause_policy, resume_policy
from orchestrator.standings import Folder, PolicyStanding, standing_of
from orchestrator.versions import Version, Versions
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.api.holds import HoldLine, hold_line, new_key
from orchestrator.web.installation import Installation, engine, installation
from orchestrator.web.parameters import (
    Answer,
    Body,
    Limit,
    Maybe,
    NeededReason,
    Number,
    Offset,
    PolicyName,
    Reason,
    Site,
)
from orchestrator.web.problems import declared, unknown
from orchestrator.web.repeats import once
from workflows.starts import StartState

router = APIRouter(prefix="/policies", tags=["policies"], route_class=Guarded)


class VersionLine(Answer):
    """One change of an applied policy; without a digest it is its removal."""

    policy: str
    version: int
    digest: str | None
    removed: bool
    actor: str
    at: datetime
    reason: str


class PolicyLine(Answer):
    """One policy: what is applied, and how the folder differs from it."""

    policy: str
    applied: VersionLine | None
    folder: Literal["same", "changed", "absent", "invalid"]
    sites: list[str]
    labels: dict[str, str]
    enabled: bool | None
    triggers: list[str] = Field(description="The triggers' kinds, in their order.")
    held: list[HoldLine]
    trouble: str | None = Field(description="Why its file cannot be used.")


class PolicyList(Answer):
    """A page of the policies, by name."""

    policies: list[PolicyLine]
    total: int
    next: int | None = Field(description="`offset` of the next page; null at the end.")


class PartLine(Answer):
    """One thing that the engine keeps for a policy: a schedule, a watched pool, a route of events."""

    kind: str
    id: str
    text: str
    site: str | None
    paused: bool
    note: str | None
    next: list[datetime]


class PolicyDetail(PolicyLine):
    """One policy, and what the engine keeps for it."""

    drift: list[str]
    parts: list[PartLine]
    source: str | None = Field(description="The document: the applied one, or else the folder's.")
    document: dict[str, JsonValue] | None = Field(description="The policy as it was understood.")


class VersionList(Answer):
    """All changes of a policy, the newest first."""

    versions: list[VersionLine]


class VersionDetail(VersionLine):
    """One version with its document; null for a removal."""

    source: str | None


class VersionDiff(Answer):
    """The difference between two versions' documents, as a unified diff."""

    policy: str
    before: int
    after: int
    lines: list[str]


class PolicyResumed(Answer):
    """What was lifted from a policy, and what still holds it."""

    policy: str
    lifted: list[HoldLine]
    schedules: int
    still: list[HoldLine]


class Why(Body):
    """Why something is done."""

    reason: Reason = ""


class Starting(Body):
    """Why a run is to start, and at which site where the policy has several."""

    reason: NeededReason
    site: Maybe[Site] = None


class Started(Answer):
    """What the site's desk says: begun, queued for its turn, or skipped and why."""

    key: str
    state: StartState
    run: str | None
    why: str | None


_READ = declared(401, 403, 404, 422, 429, 500, 503)
_VERSION = {**_READ, **declared(409)}
_STEER = {**_READ, **declared(400, 408, 409, 413)}


@router.get("", summary="List policies", dependencies=[READS], responses=declared(401, 403, 422, 429, 500, 503))
async def list_policies(request: Request, limit: Limit = 100, offset: Offset = 0) -> PolicyList:
    """List the policies of the folder and those that are applied."""
    lines = await asyncio.to_thread(policy_lines, installation(request))
    page = lines[offset : offset + limit]
    following = offset + len(page)
    return PolicyList(policies=page, total=len(lines), next=following if page and following < len(lines) else None)


@router.get("/{policy}", summary="Show a policy", dependencies=[READS], responses=_READ)
async def show_policy(request: Request, policy: PolicyName) -> PolicyDetail:
    """Show one policy: what is applied, what the engine keeps for it, when it starts next, how all that differs."""
    here = installation(request)
    line = next((one for one in await asyncio.to_thread(policy_lines, here) if one.policy == policy), None)
    if line is None:
        raise unknown(f"There is no policy {policy}: neither in the folder nor applied.")
    there = await here.engine()
    folder = await asyncio.to_thread(here.catalog.read)
    stands = await standing_of(there, folder, policy)
    source, document = await asyncio.to_thread(_document, here, policy)
    return PolicyDetail(
        **dict(line),
        drift=list(stands.drift) if stands else [],
        parts=_parts(stands),
        source=source,
        document=document,
    )


@router.get("/{policy}/versions", summary="List a policy's versions", dependencies=[READS], responses=_READ)
async def list_versions(request: Request, policy: PolicyName) -> VersionList:
    """List all changes of a policy, the newest first: who applied which, when and why."""
    found = await asyncio.to_thread(installation(request).versions.history, policy)
    if not found:
        raise unknown(f"The policy {policy} was never applied.")
    return VersionList(versions=[_version(one) for one in reversed(found)])


@router.get("/{policy}/versions/{version}", summary="Show a version", dependencies=[READS], responses=_VERSION)
async def show_version(request: Request, policy: PolicyName, version: Number) -> VersionDetail:
    """Show one version of a policy, with its document as it was applied."""
    versions = installation(request).versions
    found = await asyncio.to_thread(_change, versions, policy, version)
    source = None if found.removed else await asyncio.to_thread(_source, versions, found)
    return VersionDetail(**dict(_version(found)), source=source)


@router.get("/{policy}/versions/{version}/diff", summary="Compare versions", dependencies=[READS], responses=_VERSION)
async def diff_versions(
    request: Request,
    policy: PolicyName,
    version: Number,
    against: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="The earlier one; default: that before.")
    ] = None,
) -> VersionDiff:
    """Compare the document of a version with an earlier one's; a removal is an empty document, and so is none."""
    versions = installation(request).versions
    before = version - 1 if against is None else against

    def compare() -> list[str]:
        new = _source(versions, _change(versions, policy, version))
        old = _source(versions, _change(versions, policy, before)) if before else ""
        names = (f"version {before}", f"version {version}")
        return list(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""))

    return VersionDiff(policy=policy, before=before, after=version, lines=await asyncio.to_thread(compare))


@router.post("/{policy}/runs", summary="Start a run", status_code=202, dependencies=[STEERS], responses=_STEER)
async def start_run(request: Request, who: Who, policy: PolicyName, wanted: Starting) -> Started:
    """Ask for a run of the applied version now; it may wait for its turn, or be skipped since something holds it."""
    there = await engine(request)
    await _refuse_unapplied(there, policy)
    start = await start_applied(
        there, policy, site=wanted.site, actor=who.actor, reason=wanted.reason, once=once(request)
    )
    return Started(key=start.key, state=start.state, run=start.run, why=start.why or None)


@router.post("/{policy}/pause", summary="Pause a policy", dependencies=[STEERS], responses=_STEER)
async def pause(request: Request, who: Who, policy: PolicyName, why: Why) -> HoldLine:
    """Let a policy start nothing until it is resumed; open runs go on."""
    there = await engine(request)
    await _refuse_unapplied(there, policy)
    return hold_line(await pause_policy(there, policy, actor=who.actor, reason=why.reason, key=new_key(request)))


@router.post("/{policy}/resume", summary="Resume a policy", dependencies=[STEERS], responses=_STEER)
async def resume(request: Request, who: Who, policy: PolicyName, why: Why) -> PolicyResumed:
    """Let a paused policy start again, whether it was paused here or in Temporal; a freeze stays."""
    there = await engine(request)
    await _refuse_unapplied(there, policy)
    done = await resume_policy(there, policy, actor=who.actor, reason=why.reason)
    return PolicyResumed(
        policy=policy,
        lifted=[hold_line(one) for one in done.lifted],
        schedules=done.schedules,
        still=[hold_line(one) for one in done.still],
    )


def policy_lines(here: Installation) -> list[PolicyLine]:
    """Give a line for each policy of the folder and each that is applied; the engine's own parts are not asked."""
    folder, current = here.catalog.read(), here.versions.current()
    standing = Holds(here.log).standing()
    for loaded in folder.usable.values():
        here.applied.keep(loaded.policy)
    return [
        _line(name, folder, current.get(name), _holds_on(here, standing, name, current.get(name)))
        for name in sorted({*folder.usable, *folder.wrong, *current})
    ]


def _holds_on(here: Installation, standing: list[Hold], name: str, applied: Version | None) -> list[Hold]:
    """Give the holds on a policy; of one that cannot be read nobody knows sites and labels."""
    policy = here.applied.policy(applied) if standing and applied is not None else None
    if policy is None:
        return [hold for hold in standing if hold.label is None and hold.covers(name, None, {})]
    return over(standing, policy)


def _line(name: str, folder: Folder, applied: Version | None, holds: Iterable[Hold]) -> PolicyLine:
    loaded = folder.usable.get(name)
    policy = None if loaded is None else loaded.policy
    if name in folder.wrong:
        stands: Literal["same", "changed", "absent", "invalid"] = "invalid"
    elif policy is None:
        stands = "absent"
    else:
        stands = "same" if applied is not None and applied.digest == policy.digest else "changed"
    return PolicyLine(
        policy=name,
        applied=None if applied is None else _version(applied),
        folder=stands,
        sites=[] if policy is None else list(policy.all_sites),
        labels={} if policy is None else policy.labels,
        enabled=None if policy is None else policy.enabled,
        triggers=[] if policy is None else [one.kind for one in policy.triggers],
        held=[hold_line(one) for one in holds],
        trouble=folder.wrong.get(name),
    )


def _parts(stands: PolicyStanding | None) -> list[PartLine]:
    return [] if stands is None else [_part(one) for one in stands.parts]


def _part(one: There) -> PartLine:
    return PartLine(
        kind=one.kind,
        id=one.id,
        text=one.text,
        site=one.site,
        paused=one.paused,
        note=one.note,
        next=list(one.next_times),
    )


def _document(here: Installation, name: str) -> tuple[str | None, dict[str, JsonValue] | None]:
    """Give a policy's document and what was understood of it: as it is applied, or else as it is in the folder."""
    applied = here.versions.current().get(name)
    if applied is not None:
        policy = here.applied.policy(applied)
        if policy is None:
            return None, None
        return _source(here.versions, applied), policy.model_dump(mode="json", by_alias=True)
    loaded = here.catalog.read().usable.get(name)
    if loaded is None:
        return None, None
    return loaded.source.decode(errors="replace"), loaded.policy.model_dump(mode="json", by_alias=True)


def _change(versions: Versions, policy: str, number: int) -> Version:
    found = versions.change(policy, number)
    if found is None:
        raise unknown(f"The policy {policy} has no version {number}.")
    return found


def _source(versions: Versions, version: Version) -> str:
    return "" if version.removed else versions.read(version).decode(errors="replace")


def _version(one: Version) -> VersionLine:
    return VersionLine(
        policy=one.policy,
        version=one.number,
        digest=one.digest,
        removed=one.removed,
        actor=one.actor,
        at=one.at,
        reason=one.reason,
    )


async def _refuse_unapplied(there: Engine, policy: str) -> None:
    if policy not in await asyncio.to_thread(there.versions.current):
        raise unknown(f"The policy {policy} is not applied.")
