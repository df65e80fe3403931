"""Policies: what the folder holds and what is applied, the versions and what changed between them."""

import asyncio
import difflib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from activities.holds import Hold
from orchestrator.applied import There
from orchestrator.applied_runs import start_applied
from orchestrator.catalog import PolicyError
from orchestrator.engine import Engine
from orchestrator.folder_reader import FolderReader
from orchestrator.holding import holds_by_policy, pause_policy, resume_policy
from orchestrator.standings import Folder, PolicyStanding, standings
from orchestrator.versions import Version, VersionError
from orchestrator.web.access import READS, STEERS, Guarded, Who
from orchestrator.web.api.holds import HoldLine, hold_line, new_key
from orchestrator.web.installation import engine, installation
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
    there = await engine(request)
    lines = await asyncio.to_thread(policy_lines, there, installation(request).catalog)
    page = lines[offset : offset + limit]
    following = offset + len(page)
    return PolicyList(policies=page, total=len(lines), next=following if page and following < len(lines) else None)


@router.get("/{policy}", summary="Show a policy", dependencies=[READS], responses=_READ)
async def show_policy(request: Request, policy: PolicyName) -> PolicyDetail:
    """Show one policy: what is applied, what the engine keeps for it, when it starts next, how all that differs."""
    there, catalog = await engine(request), installation(request).catalog
    line = next((one for one in await asyncio.to_thread(policy_lines, there, catalog) if one.policy == policy), None)
    if line is None:
        raise unknown(f"There is no policy {policy}: neither in the folder nor applied.")
    folder = await asyncio.to_thread(catalog.read)
    stands = next((one for one in await standings(there, folder) if one.policy == policy), None)
    source, document = await asyncio.to_thread(_document, there, catalog, policy)
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
    there = await engine(request)
    found = await asyncio.to_thread(there.versions.history, policy)
    if not found:
        raise unknown(f"The policy {policy} was never applied.")
    return VersionList(versions=[_version(one) for one in reversed(found)])


@router.get("/{policy}/versions/{version}", summary="Show a version", dependencies=[READS], responses=_VERSION)
async def show_version(request: Request, policy: PolicyName, version: Number) -> VersionDetail:
    """Show one version of a policy, with its document as it was applied."""
    there = await engine(request)
    found = await asyncio.to_thread(_change, there, policy, version)
    source = None if found.removed else await asyncio.to_thread(_source, there, found)
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
    there = await engine(request)
    before = version - 1 if against is None else against

    def compare() -> list[str]:
        new = _source(there, _change(there, policy, version))
        old = _source(there, _change(there, policy, before)) if before else ""
        names = (f"version {before}", f"version {version}")
        return list(difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""))

    return VersionDiff(policy=policy, before=before, after=version, lines=await asyncio.to_thread(compare))


@router.post("/{policy}/runs", summary="Start a run", status_code=202, dependencies=[STEERS], responses=_STEER)
async def start_run(request: Request, who: Who, policy: PolicyName, wanted: Starting) -> Started:
    """Ask for a run of the applied version now; it may wait for its turn, or be skipped since something holds it."""
    there = await engine(request)
    await _refuse_unapplied(there, policy)
    start = await start_applied(there, policy, site=wanted.site, actor=who.actor, reason=wanted.reason)
    return Started(key=start.key, state=start.state, run=start.run, why=start.why or None)


@router.post("/{policy}/pause", summary="Pause a policy", dependencies=[STEERS], responses=_STEER)
async def pause(request: Request, who: Who, policy: PolicyName, why: Why) -> HoldLine:
    """Let a policy start nothing until it is resumed; open runs go on."""
    there = await engine(request)
    await _refuse_unapplied(there, policy)
    return hold_line(await pause_policy(there, policy, actor=who.actor, reason=why.reason, key=new_key()))


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


def policy_lines(there: Engine, catalog: FolderReader) -> list[PolicyLine]:
    """Give a line for each policy of the folder and each that is applied; the engine's own parts are not asked."""
    folder, current = catalog.read(), there.versions.current()
    names = sorted({*folder.usable, *folder.wrong, *current})
    holds = holds_by_policy(there, names)
    return [_line(name, folder, current.get(name), holds[name]) for name in names]


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


def _document(there: Engine, catalog: FolderReader, name: str) -> tuple[str | None, dict[str, JsonValue] | None]:
    """Give a policy's document and what was understood of it: as it is applied, or else as it is in the folder."""
    applied = there.versions.current().get(name)
    try:
        if applied is not None:
            policy = there.versions.policy(applied).model_dump(mode="json", by_alias=True)
            return there.versions.read(applied).decode(errors="replace"), policy
    except (VersionError, PolicyError):
        return None, None
    loaded = catalog.read().usable.get(name)
    if loaded is None:
        return None, None
    return loaded.source.decode(errors="replace"), loaded.policy.model_dump(mode="json", by_alias=True)


def _change(there: Engine, policy: str, number: int) -> Version:
    found = there.versions.change(policy, number)
    if found is None:
        raise unknown(f"The policy {policy} has no version {number}.")
    return found


def _source(there: Engine, version: Version) -> str:
    return "" if version.removed else there.versions.read(version).decode(errors="replace")


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
