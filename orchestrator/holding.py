"""Pausing a policy and freezing many: nothing new begins until somebody lets it, and then all is as it was before."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from temporalio.client import Client

from activities.holds import Hold, Holds, check_note, over
from activities.schedules import set_paused
from orchestrator.applied import There
from orchestrator.catalog import PolicyError, load_policy, policy_files
from orchestrator.engine import Engine
from orchestrator.frozen_runs import Steered, let_go, pause_covered
from orchestrator.runs import resume, run_status
from orchestrator.versions import VersionError
from workflows.policy import Policy
from workflows.run import RunStatus
from workflows.units import nearest


class HoldError(Exception):
    """What was asked of a hold cannot be done; the text says why and what to do."""


@dataclass(frozen=True)
class Resumed:
    """What was lifted, how many paused Schedules go on, and what holds the policy all the same."""

    lifted: list[Hold]
    schedules: int
    still: list[Hold]


@dataclass(frozen=True)
class Frozen:
    """A freeze, the applied policies that it covers, what became of the open runs, and whether it still stands."""

    hold: Hold
    policies: list[str]
    runs: Steered
    stands: bool


def holds_on(engine: Engine, policy: str) -> list[Hold]:
    """Give the holds on a policy, by the sites and labels with which it was applied."""
    return holds_by_policy(engine, [policy])[policy]


def holds_by_policy(engine: Engine, policies: Iterable[str]) -> dict[str, list[Hold]]:
    """Give the holds on each policy as it was applied; of one that is not applied nobody knows sites and labels."""
    standing = engine.holds.standing()
    current = engine.versions.current() if standing else {}
    found = {}
    for name in policies:
        found[name] = [hold for hold in standing if hold.label is None and hold.covers(name, None, {})]
        if name in current:
            with suppress(VersionError, PolicyError):  # A hold must be seen and lifted all the same.
                found[name] = over(standing, engine.versions.policy(current[name]))
    return found


async def pause_policy(engine: Engine, policy: str, *, actor: str, reason: str, key: str) -> Hold:
    """Let a policy start nothing; its Schedules are paused in Temporal too, where everybody sees it.

    Raises HoldError when somebody has paused it already, and BadNote.
    """
    there = next((hold for hold in _pauses(engine, policy)), None)
    if there is not None:
        raise HoldError(f"{policy} is paused already: {there}. `{there.remedy}` ends that")
    hold = engine.holds.put("pause", actor=actor, reason=reason, key=key, policy=policy)
    for one in await _schedules(engine, policy):
        if not one.paused or one.waits:
            await set_paused(engine.client, one.id, True, f"{actor}: {reason}" if reason else actor)
    return hold


async def resume_policy(engine: Engine, policy: str, *, actor: str, reason: str) -> Resumed:
    """Let a policy start again, whoever paused it here or in Temporal; the pause itself is lifted last.

    Whatever stops it halfway, the same word again does the rest. Raises BadNote.
    """
    check_note(reason)
    paused = [one for one in await _schedules(engine, policy) if one.paused and not one.waits]
    for one in paused:
        await set_paused(engine.client, one.id, False, f"resumed by {actor}")
    pauses = _pauses(engine, policy)
    for hold in pauses:
        engine.holds.lift(hold, actor=actor, reason=reason)
    await engine.desks.look_again()
    return Resumed(pauses, len(paused), holds_on(engine, policy))


async def freeze(
    engine: Engine, *, site: str | None, label: tuple[str, str] | None, runs: bool, actor: str, reason: str, key: str
) -> Frozen:
    """Let nothing begin that the site and the label cover; with `runs` pause the open runs too.

    Raises HoldError for a site that nobody knows, and BadNote; then nothing was done.
    """
    applied = _applied(engine)
    if site is not None:
        known = await known_sites(engine)
        if site not in known:
            raise HoldError(f"--site {site}: no policy and no run is at that site; {_known(site, known)}")
    hold = engine.holds.put("freeze", actor=actor, reason=reason, key=key, site=site, label=label)
    steered = await pause_covered(engine, hold) if runs else Steered()
    stands = hold in engine.holds.standing()
    if not stands:  # Somebody thawed it while it was still pausing.
        await let_go(engine, hold, actor=actor, reason="thawed meanwhile")
    return Frozen(hold, [policy.name for policy in applied if over([hold], policy)], steered, stands)


async def known_sites(engine: Engine) -> set[str]:
    """Name the sites of the applied policies, of those in the folder, and where runs have begun."""
    policies = [*_applied(engine), *_in_folder(engine)]
    return {one for policy in policies for one in policy.all_sites} | await engine.desks.sites()


async def thaw(engine: Engine, hold: Hold, *, actor: str, reason: str) -> Steered:
    """Let the runs go on that a freeze paused, then lift it; what anybody else pauses stays so.

    Whatever stops it halfway, the same word again does the rest, also after the freeze was lifted. Raises BadNote.
    """
    check_note(reason)
    steered = await let_go(engine, hold, actor=actor, reason=reason)
    engine.holds.lift(hold, actor=actor, reason=reason)
    late = await let_go(engine, hold, actor=actor, reason=reason)  # A freeze may have been at it until just now.
    await engine.desks.look_again()
    failed = {run: why for run, why in late.failed.items() if run not in steered.done}
    return Steered([*steered.done, *late.done], {**steered.still, **late.still}, failed)


async def resume_run(client: Client, holds: Holds, run: str, *, actor: str, reason: str) -> RunStatus:
    """Lift what people paused in a run, and what freezes did that are over; a freeze that stands keeps its pause."""
    frozen = {one.freeze for one in (await run_status(client, run)).pausers if one.freeze is not None}
    over_ones = frozen - {hold.number for hold in holds.standing()} if frozen else frozen
    return await resume(client, run, actor=actor, reason=reason, freezes=tuple(sorted(over_ones)))


def _known(site: str, known: set[str]) -> str:
    if not known:
        return "none is at any yet"
    names, close = ", ".join(sorted(known)), nearest(site, sorted(known))
    return f"did you mean `{close}`? Known: {names}" if close else f"known: {names}"


def _pauses(engine: Engine, policy: str) -> list[Hold]:
    return [hold for hold in engine.holds.standing() if hold.kind == "pause" and hold.policy == policy]


async def _schedules(engine: Engine, policy: str) -> list[There]:
    """Give a policy's Schedules, those included that are too new for Temporal's list."""
    version = engine.versions.current().get(policy)
    known: list[str] = []
    if version is not None:
        with suppress(VersionError, PolicyError):
            known = [one.id for one in engine.schedules.wanted(engine.versions.policy(version), version.number)]
    return [there for there in await engine.schedules.there(known, policy) if there.policy == policy]


def _applied(engine: Engine) -> list[Policy]:
    """Give the applied policies that can be read."""
    found = []
    for version in engine.versions.current().values():
        try:
            found.append(engine.versions.policy(version))
        except (VersionError, PolicyError):
            continue
    return found


def _in_folder(engine: Engine) -> list[Policy]:
    """Give the policies of the folder that can be read: they may run by hand."""
    folder, found = engine.settings.policies_dir, []
    for file in policy_files(folder) if folder.is_dir() else ():
        try:
            found.append(load_policy(file))
        except PolicyError:
            continue
    return found
