"""Applying: the difference between a catalog and what the engine does, and exactly this difference made so."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from activities.holds import Holds, over
from orchestrator.applied import Kind, Meanwhile, Putting, There
from orchestrator.catalog import LoadedPolicy, PolicyError
from orchestrator.desks import Desks
from orchestrator.difference import Action, Difference, Part, PolicyChange, parts_of
from orchestrator.linting.finding import Severity
from orchestrator.linting.neighbours import neighbour_findings
from orchestrator.linting.pools import pool_findings
from orchestrator.versions import Version, VersionError, Versions
from workflows.policy import Policy

__all__ = ["Action", "ApplyError", "Applying", "Difference", "Part", "PolicyChange"]


class ApplyError(Exception):
    """The catalog cannot be applied as it is, or not any more; the text says what to do."""


class Applying:
    """Compares and applies; what is not ours is neither looked into nor touched."""

    def __init__(self, versions: Versions, kinds: Sequence[Kind], holds: Holds, desks: Desks) -> None:
        self._versions = versions
        self._kinds = kinds
        self._holds = holds
        self._desks = desks

    async def difference(
        self, catalog: Mapping[str, LoadedPolicy], *, remove: Iterable[str] = (), prune: bool = False
    ) -> Difference:
        """Compare a catalog that is to be applied with the engine, as `compare` does.

        Raises ApplyError for policies that must not be together.
        """
        difference = await self.compare(catalog, remove=remove, prune=prune)
        self._refuse_errors_between(catalog, difference.others)
        return difference

    async def compare(
        self,
        catalog: Mapping[str, LoadedPolicy],
        *,
        remove: Iterable[str] = (),
        prune: bool = False,
        only: str | None = None,
    ) -> Difference:
        """Compare a catalog with the engine; `remove` names policies to take away, `prune` takes all others away.

        With `only` the engine is asked about that policy alone: nothing is told of any other.
        """
        latest = self._versions.latest()
        current = {name: version for name, version in latest.items() if not version.removed}
        leaving = set(remove) | {name for name in current if prune and name not in catalog}
        # What is applied now may be too new for the engine's list, and so may what takes its place.
        before = [version for name, version in current.items() if name in leaving or _differs(version, catalog)]
        there = await self._there([*(one.policy for one in catalog.values()), *self._applied(before)], only)
        orphans = {name for name in there if name not in current and name not in catalog and name not in leaving}
        if prune:
            leaving, orphans = leaving | orphans, set()
        holds = self._holds.standing()
        changes = [self._changed(loaded, latest.get(name), there.get(name, ())) for name, loaded in catalog.items()]
        changes = [replace(one, holds=tuple(over(holds, catalog[one.policy].policy))) for one in changes]
        changes += [_removed(name, latest.get(name), there.get(name, ())) for name in sorted(leaving)]
        return Difference(
            tuple(changes),
            tuple(sorted(set(current) - set(catalog) - leaving)),
            tuple(_removed(name, latest.get(name), there[name]) for name in sorted(orphans)),
            there,
        )

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
                await self._make_so(change, catalog, actor=actor, reason=reason)
            except VersionError as error:
                raise ApplyError(str(error)) from error
            except Meanwhile as error:
                raise ApplyError(f"{error}: apply again, it goes on where it was") from error
        await self._desks.look_again()

    async def _make_so(
        self, change: PolicyChange, catalog: Mapping[str, LoadedPolicy], *, actor: str, reason: str
    ) -> None:
        self._write_version(change, catalog, actor=actor, reason=reason)
        for part in change.parts:
            if part.action is Action.UNCHANGED:
                continue
            self._refuse_overtaken(change)
            kind = next(one for one in self._kinds if one.name == part.subject.kind)
            if part.wanted is not None:
                await kind.put(part.wanted, Putting(part.there, change.begins_paused))
            elif part.there is not None:
                await kind.remove(part.there)
        # What was written after this version was looked for may have been overwritten: then somebody must hear of it.
        self._refuse_overtaken(change)

    def _refuse_overtaken(self, change: PolicyChange) -> None:
        """Let nothing of a version be written any more once another one is there."""
        later = self._versions.change(change.policy, (change.number or change.latest) + 1)
        if later is not None:
            raise ApplyError(
                f"{later.actor} changed `{change.policy}` meanwhile (version {later.number}): "
                "apply again, it shows what is left to do"
            )

    async def _there(self, policies: Iterable[Policy], only: str | None = None) -> dict[str, list[There]]:
        """Give what the engine keeps, by policy; what these policies want is looked up one by one."""
        known = list(policies)
        found: dict[str, list[There]] = {}
        for kind in self._kinds:
            ids = [wanted.id for policy in known for wanted in kind.wanted(policy, 0)]
            for one in await kind.there(ids, only):
                if only in (None, one.policy):
                    found.setdefault(one.policy, []).append(one)
        return found

    def _applied(self, versions: Iterable[Version]) -> Iterator[Policy]:
        """Read the policies of these versions, those that can be read."""
        for version in versions:
            with suppress(VersionError, PolicyError):
                yield self._versions.policy(version)

    def _refuse_errors_between(self, catalog: Mapping[str, LoadedPolicy], others: Iterable[str]) -> None:
        """Let no policies start each other without end, or name a pool twice, also where applied one by one."""
        triggers = [trigger for loaded in catalog.values() for trigger in loaded.policy.triggers]
        if not any(trigger.after or trigger.threshold for trigger in triggers):
            return
        current = self._versions.current()
        staying = {policy.name: policy for policy in self._applied(current[name] for name in others if name in current)}
        together = staying | {name: loaded.policy for name, loaded in catalog.items()}
        found = [
            f"policy {name}: {finding.text}"
            for name, loaded in catalog.items()
            for finding in (
                *neighbour_findings(loaded.policy, together, complete=False),
                *pool_findings(loaded.policy, together),
            )
            if finding.severity is Severity.ERROR
        ]
        if found:
            raise ApplyError("\n".join(found))

    def _write_version(
        self, change: PolicyChange, catalog: Mapping[str, LoadedPolicy], *, actor: str, reason: str
    ) -> None:
        if change.number is None:
            return
        if change.action is Action.REMOVE:
            self._versions.remove(change.policy, change.number, actor=actor, reason=reason)
        else:
            self._versions.add(catalog[change.policy], change.number, actor=actor, reason=reason)

    def _changed(self, loaded: LoadedPolicy, latest: Version | None, there: Sequence[There]) -> PolicyChange:
        policy = loaded.policy
        applied = None if latest is None or latest.removed else latest
        same = applied is not None and applied.digest == policy.digest
        number = None if same else _next_number(latest)
        version = number or (applied.number if applied else 0)
        wanted = [one for kind in self._kinds for one in kind.wanted(policy, version)] if policy.enabled else []
        parts = tuple(parts_of(wanted, there))
        if applied is None:
            action = Action.CREATE
        elif same and all(part.action is Action.UNCHANGED for part in parts):
            action = Action.UNCHANGED
        else:
            action = Action.CHANGE
        diff = () if applied is None or same else tuple(self._diff(applied, loaded))
        return PolicyChange(
            policy.name, action, parts, applied, number, diff, policy.enabled, latest=latest.number if latest else 0
        )

    def _diff(self, applied: Version, loaded: LoadedPolicy) -> Iterable[str]:
        try:
            before = self._versions.read(applied).decode(errors="replace").splitlines()
        except VersionError as error:
            return [f"# {error}"]
        after = loaded.source.decode(errors="replace").splitlines()
        return list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]


def _removed(name: str, latest: Version | None, there: Sequence[There]) -> PolicyChange:
    applied = None if latest is None or latest.removed else latest
    number = None if applied is None else _next_number(latest)
    parts = tuple(parts_of((), there))
    return PolicyChange(name, Action.REMOVE, parts, applied, number, latest=latest.number if latest else 0)


def _next_number(latest: Version | None) -> int:
    return 1 if latest is None else latest.number + 1


def _differs(version: Version, catalog: Mapping[str, LoadedPolicy]) -> bool:
    return version.policy in catalog and catalog[version.policy].policy.digest != version.digest
