"""Applying: the difference between a catalog and what the engine does, and exactly this difference made so."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.applied import Kind, There, Wanted
from orchestrator.catalog import LoadedPolicy, PolicyError
from orchestrator.linting.finding import Severity
from orchestrator.linting.neighbours import neighbour_findings
from orchestrator.linting.pools import pool_findings
from orchestrator.versions import Version, VersionError, Versions
from workflows.policy import Policy
from workflows.unready import unready


class ApplyError(Exception):
    """The catalog cannot be applied as it is, or not any more; the text says what to do."""


class Action(StrEnum):
    """What happens to one thing."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Part:
    """One thing that the engine keeps for a policy, and what happens to it."""

    action: Action
    text: str
    wanted: Wanted | None = None
    there: There | None = None
    why: str = ""

    @property
    def subject(self) -> Wanted | There:
        """The thing itself, as it is wanted or, where it is not, as it is there."""
        found = self.wanted or self.there
        assert found is not None, "a part is wanted, or there, or both"
        return found


@dataclass(frozen=True)
class PolicyChange:
    """What happens to one policy; `number` is that of the version which is written, None where none is."""

    policy: str
    action: Action
    parts: tuple[Part, ...]
    applied: Version | None = None
    number: int | None = None
    diff: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def drifted(self) -> bool:
        """Whether the engine does something else than the applied version says."""
        return self.number is None and any(part.action is not Action.UNCHANGED for part in self.parts)


@dataclass(frozen=True)
class Difference:
    """All that an apply would do; `others` are applied policies that the catalog does not name, and that stay."""

    changes: tuple[PolicyChange, ...]
    others: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(change.action is Action.UNCHANGED for change in self.changes)

    def count(self, action: Action) -> int:
        """Count the policies to which this happens."""
        return sum(change.action is action for change in self.changes)


class Applying:
    """Compares and applies; what is not ours is neither looked into nor touched."""

    def __init__(self, versions: Versions, kinds: Sequence[Kind]) -> None:
        self._versions = versions
        self._kinds = kinds

    async def difference(
        self, catalog: Mapping[str, LoadedPolicy], *, remove: Iterable[str] = (), prune: bool = False
    ) -> Difference:
        """Compare a catalog with the engine; `remove` names policies to take away, `prune` all that it does not name.

        Raises ApplyError for a policy that this version could only half obey.
        """
        _check_whole(catalog)
        current = self._versions.current()
        leaving = set(remove) | {name for name in current if prune and name not in catalog}
        self._refuse_errors_between(catalog, [name for name in current if name not in leaving and name not in catalog])
        there = await self._there([*(loaded.policy for loaded in catalog.values()), *self._applied(current, leaving)])
        orphans = {name for name in there if name not in current and name not in catalog}
        changes = [self._changed(loaded, current.get(name), there.get(name, ())) for name, loaded in catalog.items()]
        changes += [self._removed(name, current.get(name), there.get(name, ())) for name in sorted(leaving | orphans)]
        others = sorted(set(current) - set(catalog) - leaving)
        return Difference(tuple(changes), tuple(others))

    async def apply(
        self, difference: Difference, catalog: Mapping[str, LoadedPolicy], *, actor: str, reason: str
    ) -> None:
        """Do what a difference says, policy by policy; done again after a failure it goes on where it was.

        Raises ApplyError when the engine is no longer as it was when the difference was shown.
        """
        removing = [change.policy for change in difference.changes if change.action is Action.REMOVE]
        if (await self.difference(catalog, remove=removing)).changes != difference.changes:
            raise ApplyError("somebody changed the engine meanwhile: nothing was applied, look at the difference again")
        for change in difference.changes:
            try:
                self._write_version(change, catalog, actor=actor, reason=reason)
            except VersionError as error:
                raise ApplyError(str(error)) from error
            for part in change.parts:
                await self._make_so(part)

    def _refuse_errors_between(self, catalog: Mapping[str, LoadedPolicy], others: Iterable[str]) -> None:
        """Let no policies start each other without end, or name a pool twice, also where applied one by one."""
        triggers = [trigger for loaded in catalog.values() for trigger in loaded.policy.triggers]
        if not any(trigger.after or trigger.threshold for trigger in triggers):
            return
        staying = {policy.name: policy for policy in self._applied(self._versions.current(), others)}
        together = staying | {name: loaded.policy for name, loaded in catalog.items()}
        for name, loaded in catalog.items():
            between = neighbour_findings(loaded.policy, together, complete=False)
            for finding in (*between, *pool_findings(loaded.policy, together)):
                if finding.severity is Severity.ERROR:
                    raise ApplyError(f"policy {name}: {finding.text}")

    async def _there(self, policies: Iterable[Policy]) -> dict[str, list[There]]:
        """Give what the engine keeps, by policy; what these policies want is looked up one by one."""
        known = list(policies)
        found: dict[str, list[There]] = {}
        for kind in self._kinds:
            ids = [wanted.id for policy in known for wanted in kind.wanted(policy, 0)]
            for one in await kind.there(ids):
                found.setdefault(one.policy, []).append(one)
        return found

    def _applied(self, current: Mapping[str, Version], names: Iterable[str]) -> Iterable[Policy]:
        """Read the applied policies of these names, those that can be read."""
        for version in (current[name] for name in names if name in current):
            with suppress(VersionError, PolicyError):
                yield self._versions.policy(version)

    def _write_version(
        self, change: PolicyChange, catalog: Mapping[str, LoadedPolicy], *, actor: str, reason: str
    ) -> None:
        if change.number is None:
            return
        if change.action is Action.REMOVE:
            self._versions.remove(change.policy, change.number, actor=actor, reason=reason)
        else:
            self._versions.add(catalog[change.policy], change.number, actor=actor, reason=reason)

    async def _make_so(self, part: Part) -> None:
        kind = next(one for one in self._kinds if one.name == part.subject.kind)
        if part.action in (Action.CREATE, Action.CHANGE) and part.wanted is not None:
            await kind.put(part.wanted)
        elif part.action is Action.REMOVE and part.there is not None:
            await kind.remove(part.there)

    def _changed(self, loaded: LoadedPolicy, applied: Version | None, there: Sequence[There]) -> PolicyChange:
        policy = loaded.policy
        same = applied is not None and applied.digest == policy.digest
        number = None if same else self._next_number(policy.name)
        version = number or (applied.number if applied else 0)
        wanted = [one for kind in self._kinds for one in kind.wanted(policy, version)] if policy.enabled else []
        parts = tuple(_parts(wanted, there))
        if applied is None:
            action = Action.CREATE
        elif same and all(part.action is Action.UNCHANGED for part in parts):
            action = Action.UNCHANGED
        else:
            action = Action.CHANGE
        diff = () if applied is None or same else tuple(self._diff(applied, loaded))
        return PolicyChange(policy.name, action, parts, applied, number, diff, policy.enabled)

    def _removed(self, name: str, applied: Version | None, there: Sequence[There]) -> PolicyChange:
        number = None if applied is None else self._next_number(name)
        return PolicyChange(name, Action.REMOVE, tuple(_parts((), there)), applied, number)

    def _next_number(self, policy: str) -> int:
        newest = self._versions.newest(policy)
        return 1 if newest is None else newest.number + 1

    def _diff(self, applied: Version, loaded: LoadedPolicy) -> Iterable[str]:
        try:
            before = self._versions.read(applied).decode(errors="replace").splitlines()
        except VersionError as error:
            return [f"# {error}"]
        after = loaded.source.decode(errors="replace").splitlines()
        return list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]


def _parts(wanted: Iterable[Wanted], there: Iterable[There]) -> Iterable[Part]:
    found = {(one.kind, one.id): one for one in there}
    for one in wanted:
        was = found.pop((one.kind, one.id), None)
        if was is None:
            yield Part(Action.CREATE, one.text, one)
        elif was.digest != one.digest:
            yield Part(Action.CHANGE, one.text, one, was)
        elif not was.whole:
            yield Part(Action.CHANGE, one.text, one, was, "somebody changed it in Temporal")
        else:
            yield Part(Action.UNCHANGED, one.text, one, was)
    for was in found.values():
        yield Part(Action.REMOVE, was.text, None, was)


def _check_whole(catalog: Mapping[str, LoadedPolicy]) -> None:
    for name, loaded in catalog.items():
        words = unready(loaded.policy)
        if words:
            raise ApplyError(
                f"policy {name} uses {', '.join(words)}, which this version reads but does not follow yet: "
                "leave that out to apply the rest"
            )
