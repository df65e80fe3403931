"""Where the applied policies stand: the catalog's version, the engine's, what is paused, and what comes next."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activities.holds import Hold
from orchestrator.applied import There
from orchestrator.applying import Action, PolicyChange
from orchestrator.catalog import LoadedPolicy, PolicyError, policy_files, read_policy, same_name
from orchestrator.documents import read_document
from orchestrator.engine import Engine
from orchestrator.holding import holds_by_policy
from orchestrator.versions import Version, VersionError


@dataclass(frozen=True)
class Folder:
    """The policies of a folder by name, those that can be used and what is wrong with the others."""

    usable: Mapping[str, LoadedPolicy]
    wrong: Mapping[str, str]

    def only(self, policy: str) -> "Folder":
        """Give the folder as if it held this policy alone."""
        return Folder(
            {name: one for name, one in self.usable.items() if name == policy},
            {name: text for name, text in self.wrong.items() if name == policy},
        )


@dataclass(frozen=True)
class PolicyStanding:
    """One policy: which version is applied, how the folder and the engine differ from it, what it keeps going.

    `trouble` says why its document cannot be used: the folder's, or the one that was applied.
    """

    policy: str
    applied: Version | None
    folder: str
    drift: tuple[str, ...] = ()
    parts: tuple[There, ...] = ()
    holds: tuple[Hold, ...] = ()
    trouble: str | None = None

    def hold_on(self, part: There) -> Hold | None:
        """Give what holds back one of its parts."""
        return next((hold for hold in self.holds if part.site is None or hold.site in (None, part.site)), None)


def read_folder(folder: Path, read: Callable[[Path], LoadedPolicy] = read_policy) -> Folder:
    """Read every policy of a folder; a file that cannot be used goes by the name that it gives, or else its own."""
    usable: dict[str, LoadedPolicy] = {}
    wrong: dict[str, str] = {}
    names: dict[str, str] = {}
    for file in policy_files(folder) if folder.is_dir() else ():
        try:
            loaded = read(file)
        except PolicyError as error:
            wrong[name_in(file)] = str(error)
            continue
        usable[loaded.policy.name] = loaded
        if twice := same_name(loaded, names):
            wrong[loaded.policy.name] = str(twice[0])
    return Folder({name: loaded for name, loaded in usable.items() if name not in wrong}, wrong)


async def standing_of(engine: Engine, folder: Folder, policy: str) -> PolicyStanding | None:
    """Compare one policy alone; None when it is neither in the folder nor applied."""
    return next((one for one in await standings(engine, folder.only(policy), policy) if one.policy == policy), None)


async def standings(engine: Engine, folder: Folder, only: str | None = None) -> list[PolicyStanding]:
    """Compare the folder, the applied versions and the engine; no policy's trouble hides the others.

    With `only` other applied policies are not read.
    """
    catalog = dict(folder.usable)
    current, trouble = engine.versions.current(), dict(folder.wrong)
    current = {name: version for name, version in current.items() if only in (None, name)}
    applied: dict[str, LoadedPolicy] = {}
    for name in current.keys() - catalog.keys():
        try:
            applied[name] = read_policy(engine.versions.read(current[name]), f"{name}, version {current[name].number}")
        except (VersionError, PolicyError) as error:
            trouble[name] = "; ".join(filter(None, (trouble.get(name), str(error))))
    difference = await engine.applying.compare({**catalog, **applied}, only=only)
    changes = {change.policy: change for change in (*difference.changes, *difference.orphans)}
    names = sorted({*changes, *current, *trouble})
    holds = holds_by_policy(engine, names)
    found = []
    for name in names:
        change = changes.get(name)
        parts = difference.kept.get(name, ()) if change is None else (one.there for one in change.parts if one.there)
        found.append(
            PolicyStanding(
                policy=name,
                applied=current.get(name),
                folder=_folder(name, change, folder),
                drift=() if change is None else tuple(_drift(change)),
                parts=tuple(parts),
                holds=tuple(holds[name]) if change is None else change.holds,
                trouble=trouble.get(name),
            )
        )
    return found


def _folder(name: str, change: PolicyChange | None, folder: Folder) -> str:
    if name in folder.wrong:
        return "invalid"
    if change is None:
        return "document lost"
    if name not in folder.usable:
        return "removed" if change.action is Action.REMOVE else "not in the folder"
    if change.applied is None:
        return "not applied"
    return "changed" if change.number is not None else "in sync"


def _drift(change: PolicyChange) -> Iterator[str]:
    if change.number is not None:
        return  # The next apply writes all of it anew.
    words = {Action.CREATE: "is missing", Action.CHANGE: "differs", Action.REMOVE: "should not be there"}
    for part in change.parts:
        if part.action in words:
            yield f"{part.text} {words[part.action]}"


def name_in(file: Path) -> str:
    """Give the name that a file gives its policy, where that much can be read."""
    if not file.is_file():
        return file.stem
    try:
        data: Any = read_document(file.read_bytes(), str(file)).data
    except (PolicyError, OSError):
        return file.stem
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and name else file.stem
