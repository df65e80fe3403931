"""The difference that an apply makes, for people and for scripts."""

from typing import TYPE_CHECKING, Any

from orchestrator.cli import show

if TYPE_CHECKING:
    from orchestrator.applying import Difference, Part, PolicyChange

_MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "unchanged": (" ", "dim")}
_MOST_LINES = 60


def print_difference(difference: "Difference") -> None:
    """Print what happens to each policy, and how many there are of each kind."""
    from orchestrator.applying import Action

    for change in difference.changes:
        if change.action is not Action.UNCHANGED:
            _print_change(change)
    for name in difference.others:
        show.note(f"  {name} is applied, and not among these: it stays (--prune removes it)")
    counts = {action: difference.count(action) for action in Action}
    told = [
        f"{counts[Action.CREATE]} to create",
        f"{counts[Action.CHANGE]} to change",
        f"{counts[Action.REMOVE]} to remove",
        f"{counts[Action.UNCHANGED]} unchanged",
    ]
    show.say(("Nothing to do: " if difference.empty else "Policies: ") + ", ".join(told) + ".")


def _print_change(change: "PolicyChange") -> None:
    mark, colour = _MARKS[change.action]
    show.say(f"{mark} {change.policy}  {_versions(change)}", style=colour)
    for line in change.diff[:_MOST_LINES]:
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        show.say(f"      {line}", style=style)
    if len(change.diff) > _MOST_LINES:
        show.say(f"      ... {len(change.diff) - _MOST_LINES} more lines", style="dim")
    for part in change.parts:
        _print_part(part)
    show.say()


def _print_part(part: "Part") -> None:
    mark, colour = _MARKS[part.action]
    show.say(f"    {mark} {part.text}{_remark(part)}", style=colour)


def _remark(part: "Part") -> str:
    from orchestrator.applying import Action

    remarks = [part.why] if part.why else []
    if part.there is not None and part.there.paused and part.action is not Action.REMOVE:
        note = f" ({part.there.note})" if part.there.note else ""
        remarks.append(f"stays paused{note}")
    return f"  {', '.join(remarks)}" if remarks else ""


def _versions(change: "PolicyChange") -> str:
    from orchestrator.applying import Action

    disabled = "" if change.enabled else ", disabled: starts nothing by itself"
    if change.action is Action.REMOVE:
        return "is removed" if change.applied else "left something behind, which is removed"
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
                "parts": [
                    {
                        "action": str(part.action),
                        "kind": part.subject.kind,
                        "id": part.subject.id,
                        "text": part.text,
                        "paused": part.there.paused if part.there else False,
                    }
                    for part in change.parts
                ],
            }
            for change in difference.changes
        ],
        "others": list(difference.others),
    }
