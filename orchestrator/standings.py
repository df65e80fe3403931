"""Where the applied policies stand: the catalog's version, the engine's, what is paused, and what comes next."""

from collections.abc import Mapping
from dataclasses import dataclass

from activities.holds import Hold
from orchestrator.applied import There
from orchestrator.applying import Action, Difference, PolicyChange
from orchestrator.catalog import LoadedPolicy
from orchestrator.engine import Engine
from orchestrator.versions import Version
from workflows.unready import unready


@dataclass(frozen=True)
class PolicyStanding:
    """One policy: which version is applied, how the folder and the engine differ from it, what it keeps going."""

    policy: str
    applied: Version | None
    folder: str
    drift: tuple[str, ...]
    parts: tuple[There, ...]
    hold: Hold | None


async def standings(engine: Engine, catalog: Mapping[str, LoadedPolicy]) -> list[PolicyStanding]:
    """Compare the folder, the applied versions and the engine."""
    half = {name: words for name, one in catalog.items() if (words := unready(one.policy))}
    whole = {name: one for name, one in catalog.items() if name not in half}
    in_folder = {change.policy: change for change in (await engine.applying.difference(whole)).changes}
    current = engine.versions.current()
    difference = await _applied_difference(engine, [name for name in current if name not in in_folder])
    changes = {**in_folder, **{change.policy: change for change in difference.changes}}
    holds = engine.holds.standing()
    found = [
        PolicyStanding(name, None, f"uses {', '.join(words)}, not followed yet", (), (), None)
        for name, words in half.items()
        if name not in current
    ]
    for name in sorted(set(changes) | set(current)):
        change = changes[name]
        labels = catalog[name].policy.labels if name in catalog else {}
        found.append(
            PolicyStanding(
                policy=name,
                applied=current.get(name),
                folder=_folder(change, name in catalog),
                drift=tuple(_drift(change)),
                parts=tuple(part.there for part in change.parts if part.there is not None),
                hold=next((hold for hold in holds if hold.covers(name, None, labels)), None),
            )
        )
    return sorted(found, key=lambda one: one.policy)


async def _applied_difference(engine: Engine, names: list[str]) -> Difference:
    """Compare policies that are not in the folder with the engine, by the documents that were applied."""
    from orchestrator.catalog import read_policy

    current = engine.versions.current()
    applied = {name: read_policy(engine.versions.read(current[name]), name) for name in names}
    return await engine.applying.difference(applied)


def _folder(change: PolicyChange, there: bool) -> str:
    if not there:
        return "removed" if change.action is Action.REMOVE else "not in the folder"
    if change.applied is None:
        return "not applied"
    return "changed" if change.number is not None else "in sync"


def _drift(change: PolicyChange) -> list[str]:
    if change.number is not None and change.action is not Action.REMOVE:
        return []  # The next apply writes all of it anew.
    words = {Action.CREATE: "is missing", Action.CHANGE: "differs", Action.REMOVE: "should not be there"}
    return [f"{part.text} {words[part.action]}" for part in change.parts if part.action in words]
