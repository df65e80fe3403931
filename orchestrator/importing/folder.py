"""The folder that an import writes into: what is new, unchanged, or was edited since, and stays then."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.importing.hub import PolicyFile


class State(StrEnum):
    """What becomes of one file."""

    NEW = "new"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    REPLACED = "replaced"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Placed:
    """A file of an import, and what becomes of it."""

    file: Path
    state: State
    policy: PolicyFile


def place(folder: Path, files: list[PolicyFile], *, force: bool = False) -> list[Placed]:
    """Compare with what lies in the folder; nothing is written."""
    return [_placed(folder / f"{one.name}.yaml", one, force) for one in files]


def write(placed: list[Placed]) -> None:
    """Write what is new or replaced, each file whole or not at all."""
    for one in placed:
        if one.state in (State.NEW, State.REPLACED) and one.policy.text is not None:
            one.file.parent.mkdir(parents=True, exist_ok=True)
            new = one.file.with_name(f".{one.file.name}.new")
            new.write_bytes(one.policy.text.encode())
            new.replace(one.file)


def _placed(file: Path, policy: PolicyFile, force: bool) -> Placed:
    if policy.text is None:
        return Placed(file, State.LEFT_OUT, policy)
    try:
        old = file.read_bytes()
    except FileNotFoundError:
        return Placed(file, State.NEW, policy)
    if old == policy.text.encode():
        return Placed(file, State.UNCHANGED, policy)
    return Placed(file, State.REPLACED if force else State.KEPT, policy)
