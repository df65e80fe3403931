"""The difference that an apply makes, for people and for scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli import show

if TYPE_CHECKING:
    from orchestrator.applying import Difference, Part, PolicyChange

_MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "unchanged": (" ", "dim")}
_MOST_LINES = 60
_MOST_NAMES = 8


def print_difference(difference: "Difference", *, whole: bool) -> None:
    """Print what happens to each policy, and how many there are of each kind; `whole` when it is of a folder."""
    from orchestrator.applying import Action

    for change in difference.changes:
        if change.action is not Action.UNCHANGED:
            _print_change(change)
    for orphan in difference.orphans:
        kept = show.counted(len(orphan.parts), "trigger")
        stays = "no version of it is applied: it stays (--prune removes it)"
        show.note(f"  the engine keeps {kept} of {orphan.policy}, and {stays}", "yellow")
    if difference.orphans and not (difference.others or any(change.applied for change in difference.changes)):
        show.note("  This audit knows of no applied policy at all: is ORCHESTRATOR_AUDIT_URL the right one?", "yellow")
    if whole and difference.others:
        show.note(f"  {_others(difference.others)}")
    counts = {action: difference.count(action) for action in Action}
    told = [
        f"{counts[Action.CREATE]} to create",
        f"{counts[Action.CHANGE]} to change",
        f"{counts[Action.REMOVE]} to remove",
        f"{counts[Action.UNCHANGED]} unchanged",
    ]
    show.say(("Nothing to do: " if difference.empty else "Policies: ") + ", ".join(told) + ".")


def _others(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is applied, and not in the folder: it stays (--prune removes it)"
    some = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"{len(names)} policies are applied, and not in the folder: they stay (--prune removes them): {some}"


def _print_change(change: "PolicyChange") -> None:
    mark, colour = _MARKS[change.action]
    show.say(f"{mark} {change.policy}  {_versions(change)}", style=colour)
    for line in change.diff[:_MOST_LINES]:
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        show.say(f"      {line}", style=style)
    if len(change.diff) > _MOST_LINES:
        show.say(f"      ... {len(change.diff) - _MOST_LINES} more lines", style="dim")
    for part in change.parts:
        _print_part(part, change)
    for hold in change.holds:
        show.say(f"    held: {hold}", style="yellow")
    show.say()


def _print_part(part: "Part", change: "PolicyChange") -> None:
    mark, colour = _MARKS[part.action]
    show.say(f"    {mark} {part.text}{_remark(part, change)}", style=colour)


def _remark(part: "Part", change: "PolicyChange") -> str:
    remarks = [part.why] if part.why else []
    pause, note = _pause(part, change)
    if pause is not None:
        words = {"kept": "stays paused", "new": "begins paused", "lost": "its pause is lost"}
        remarks.append(words[pause] + (f" ({note})" if note else ""))
    return f"  {', '.join(remarks)}" if remarks else ""


def _pause(part: "Part", change: "PolicyChange") -> tuple[str | None, str | None]:
    """Tell what becomes of a part's pause, and its note."""
    from orchestrator.applying import Action

    if part.there is not None and part.there.paused:
        if part.action is not Action.REMOVE:
            return "kept", part.there.note
        # The pause of the whole policy goes on.
        return (None, None) if part.there.note == change.begins_paused else ("lost", part.there.note)
    if part.action is Action.CREATE and part.wanted is not None and part.wanted.site and change.begins_paused:
        return "new", change.begins_paused
    return None, None


def _versions(change: "PolicyChange") -> str:
    from orchestrator.applying import Action

    disabled = "" if change.enabled else ", disabled: starts nothing by itself"
    if change.action is Action.REMOVE:
        return "is removed" if change.applied else "has no applied version; what is left of it is removed"
    if change.applied is None:
        return f"new, version {change.number}{disabled}"
    if change.number is None:
        return f"version {change.applied.number} stays, the engine does something else{disabled}"
    return f"version {change.applied.number} -> {change.number}{disabled}"


def document(difference: "Difference") -> dict[str, Any]:
    """Give the difference as plain data."""
    return {
        "policies": [
            {
                "policy": change.policy,
                "action": str(change.action),
                "version": change.number or (change.applied.number if change.applied else None),
                "applied_version": change.applied.number if change.applied else None,
                "diff": list(change.diff),
                "held": [str(hold) for hold in change.holds],
                "parts": [
                    {
                        "action": str(part.action),
                        "kind": part.subject.kind,
                        "id": part.subject.id,
                        "text": part.text,
                        "paused": part.there.paused if part.there else False,
                        "pause": _pause(part, change)[0],
                        "note": _pause(part, change)[1],
                        "replaces": part.replaced.id if part.replaced else None,
                    }
                    for part in change.parts
                ],
            }
            for change in difference.changes
        ],
        "others": list(difference.others),
        "orphans": [orphan.policy for orphan in difference.orphans],
    }
