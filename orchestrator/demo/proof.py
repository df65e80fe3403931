"""The proof after a run: what lies in the target, what is left of each file, and that one comes back."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.demo.project import Original, Project

_STUB_BLOCKS = 16
"""A stub may hold that many blocks of 512 bytes: file systems keep small things in odd places."""


@dataclass(frozen=True)
class Claim:
    """One thing that must hold; `against` names a few files for which it does not."""

    text: str
    holds: bool
    against: tuple[str, ...] = ()


def prove(project: Project, target: Path, migrated: set[bytes], written: Callable[[int], str]) -> Iterator[Claim]:
    """Look at the disk alone: copies, stubs, and what was not to be touched; `written` writes bytes for people."""
    moved = [original for path, original in project.files.items() if path in migrated]
    rest = [original for path, original in project.files.items() if path not in migrated]
    size = sum(original.size for original in moved)
    bad = [one for one in moved if _checksum(target / os.fsdecode(one.path)) != one.sha256]
    yield _claim(f"{len(moved):,} copies in the target have the checksum of their original", bad)
    bad = [one for one in moved if not _shows_its_size(project, one)]
    yield _claim(f"{len(moved):,} stubs show their size and time, {written(size)} in all", bad)
    held = sum(_held(project, one) for one in moved)
    bad = [one for one in moved if _held(project, one) > min(_STUB_BLOCKS * 512, max(one.size, 4096))]
    yield _claim(f"and occupy {written(held)} of this disk", bad)
    bad = [one for one in rest if _checksum(project.full(one.path)) != one.sha256]
    yield _claim(f"{len(rest):,} other files are as they were", bad)


def is_back(project: Project, path: bytes) -> Claim:
    """Whether a recalled file holds its bytes again."""
    original = project.files[path]
    there = _held(project, original) >= original.size // 2 and _checksum(project.full(path)) == original.sha256
    return _claim("a recall brought one file back, its checksum intact", [] if there else [original])


def _shows_its_size(project: Project, original: Original) -> bool:
    seen = project.full(original.path).stat()
    return (seen.st_size, seen.st_mtime_ns) == (original.size, original.mtime_ns)


def _held(project: Project, original: Original) -> int:
    return project.full(original.path).stat().st_blocks * 512


def _checksum(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return None


def _claim(text: str, against: list[Original]) -> Claim:
    return Claim(text, not against, tuple(repr(one.path) for one in against[:5]))
