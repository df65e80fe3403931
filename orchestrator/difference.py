"""The difference between a catalog and what the engine does: what happens to each policy, and to each of its parts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from activities.holds import Hold
from orchestrator.applied import There, Wanted
from orchestrator.versions import Version


class Action(StrEnum):
    """What happens to one thing."""

    CREATE = "create"
    CHANGE = "change"
    REMOVE = "remove"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Part:
    """One thing that the engine keeps for a policy, and what happens to it.

    What is wanted may take the place of another thing that is there: a trigger that was edited.
    `lost` tells that the pause that somebody put on it goes with it.
    """

    action: Action
    text: str
    wanted: Wanted | None = None
    there: There | None = None
    why: str = ""
    lost: bool = False

    @property
    def subject(self) -> Wanted | There:
        """The thing itself, as it is wanted or, where it is not, as it is there."""
        found = self.wanted or self.there
        assert found is not None, "a part is wanted, or there, or both"
        return found

    @property
    def replaced(self) -> There | None:
        """The other thing whose place this one takes."""
        return self.there if self.wanted and self.there and self.wanted.id != self.there.id else None


@dataclass(frozen=True)
class PolicyChange:
    """What happens to one policy; `number` is that of the version which is written, None where none is.

    `holds` are what somebody has paused or frozen of it, `latest` is the number of its last change so far.
    """

    policy: str
    action: Action
    parts: tuple[Part, ...]
    applied: Version | None = None
    number: int | None = None
    diff: tuple[str, ...] = ()
    enabled: bool = True
    holds: tuple[Hold, ...] = ()
    latest: int = 0

    @property
    def begins_paused(self) -> str | None:
        """The note with which what is new is paused, since somebody has paused the policy."""
        pause = next((hold for hold in self.holds if hold.kind == "pause"), None)
        if pause is None:
            return None
        return f"{pause.actor}: {pause.reason}" if pause.reason else pause.actor


@dataclass(frozen=True)
class Difference:
    """All that an apply would do, and what stays although the catalog does not name it.

    `others` are applied policies. `orphans` are policies of which the engine keeps something and no version is applied:
    each as the removal that it would be. `kept` is all that the engine keeps, by policy.
    """

    changes: tuple[PolicyChange, ...]
    others: tuple[str, ...] = ()
    orphans: tuple[PolicyChange, ...] = field(default=(), compare=False)
    kept: Mapping[str, Sequence[There]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(change.action is Action.UNCHANGED for change in self.changes)

    def count(self, action: Action) -> int:
        """Count the policies to which this happens."""
        return sum(change.action is action for change in self.changes)


def parts_of(wanted: Iterable[Wanted], there: Iterable[There]) -> Iterator[Part]:
    """Compare what a policy wants with what is there of it."""
    left = {(one.kind, one.id): one for one in there}
    pairs = [(one, left.pop((one.kind, one.id), None)) for one in wanted]
    places = _places([one for one, was in pairs if was is None], left.values())
    for one, was in pairs:
        if was is None:
            replaced = places.get(one.id)
            action = Action.CREATE if replaced is None else Action.CHANGE
            yield Part(action, one.text, one, replaced, _instead(one, replaced))
        elif was.digest != one.digest:
            yield Part(Action.CHANGE, one.text, one, was)
        elif not was.whole:
            yield Part(Action.CHANGE, one.text, one, was, "somebody changed it in Temporal")
        elif was.waits:
            yield Part(Action.CHANGE, one.text, one, was, "an apply stopped before it had its place")
        else:
            yield Part(Action.UNCHANGED, one.text, one, was)
    taken = {was.id for was in places.values()}
    for was in left.values():
        if was.id not in taken:
            yield Part(Action.REMOVE, was.text, None, was, lost=was.paused)


def _places(new: Iterable[Wanted], old: Iterable[There]) -> dict[str, There]:
    """Find what takes which thing's place at a site: what says the same, else the one of one."""
    found: dict[str, There] = {}
    new, old = list(new), list(old)
    for alike in (_said, _site):
        news, olds = _grouped(new, alike), _grouped(old, alike)
        found |= {ones[0].id: olds[key][0] for key, ones in news.items() if len(ones) == len(olds.get(key, ())) == 1}
        new = [one for one in new if one.id not in found]
        old = [one for one in old if one not in found.values()]
    return found


T = TypeVar("T", Wanted, There)


def _grouped(ones: Iterable[T], alike: Callable[[Wanted | There], tuple[str, ...]]) -> dict[tuple[str, ...], list[T]]:
    """Sort the things that have a site by what is alike in them."""
    found: dict[tuple[str, ...], list[T]] = {}
    for one in ones:
        if one.site is not None:
            found.setdefault(alike(one), []).append(one)
    return found


def _said(one: Wanted | There) -> tuple[str, ...]:
    return one.kind, one.text


def _site(one: Wanted | There) -> tuple[str, ...]:
    return one.kind, str(one.site)


def _instead(wanted: Wanted, replaced: There | None) -> str:
    return "" if replaced is None or replaced.text == wanted.text else f"instead of {replaced.text}"
