"""A film studio's project tree as one finds it: mixed sizes and ages, and names that hurt."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_DAY = 86_400
_BLOCK = 1 << 20
_PROJECTS = (
    b"harbour-lights",
    b"Winter Light",
    "été 1963".encode(),
    "東京の夜".encode(),
    b"the_long_cut",
    b"spot 4711",
)
_FOLDERS = (b"rushes/day 01", b"rushes/day 02", b"vfx/sh010/plates", b"vfx/sh020/comp", b"grade", b"audio", b"office")
_KINDS = (  # extension, weight, least size, greatest size
    (b"exr", 30, 40_000, 200_000),
    (b"dpx", 20, 60_000, 240_000),
    (b"mov", 14, 100_000, 2_000_000),
    (b"MXF", 6, 100_000, 1_600_000),
    (b"wav", 12, 20_000, 300_000),
    (b"psd", 6, 10_000, 200_000),
    (b"txt", 6, 0, 4_000),
    (b"xml", 6, 200, 9_000),
)
_HARD_NAMES = (
    b'take "one".mov',
    b"it's final, really.mov",
    b"two\nlines.mov",
    b"tab\there.mxf",
    b"bell\x07 and \x1b[31mred.mov",
    "Größe 日本語 🎬.mov".encode(),
    "\u202eright to left.mov".encode(),
    b"composed-\xc3\xa9.mov",
    b"combining-e\xcc\x81.mov",
    b"latin1-caf\xe9.mov",
    b"\xff\xfe\xfd.mov",
    b"\xed\xa0\x80 half a pair.mov",
    b" leading and trailing .mov",
    b"-rf.mov",
    b"$(reboot).exr",
    b"`id`;&&.exr",
    b"back\\slash.dpx",
    b"what*is?this[1].dpx",
    b"100%25 done.mov",
    b"#1 & more=less.mov",
    b"..hidden.mov",
    b"many.dots...mov",
    b"n" * 251 + b".mov",
    "ß".encode() * 125 + b"x.mov",
)


@dataclass(frozen=True)
class Original:
    """A file as it was made."""

    path: bytes
    size: int
    sha256: bytes
    mtime_ns: int


@dataclass
class Project:
    """A tree under a folder; paths are relative to it."""

    root: Path
    files: dict[bytes, Original] = field(default_factory=dict)
    hard_names: int = 0

    @property
    def size(self) -> int:
        """The size of all files."""
        return sum(original.size for original in self.files.values())

    def full(self, path: bytes) -> Path:
        """Where a file of the tree lies."""
        return self.root / os.fsdecode(path)


def make_project(root: Path, count: int, *, seed: int = 1963, step: Callable[[], object] = lambda: None) -> Project:
    """Make so many files; `step` is called after each. The same seed gives the same tree, but for its ages."""
    chance, project, now = random.Random(seed), Project(root), time.time()
    block = chance.randbytes(_BLOCK)
    folders = [project_name + b"/" + folder for project_name in _PROJECTS for folder in _FOLDERS]
    for folder in folders:
        project.full(folder).mkdir(parents=True)
    for number in range(count):
        hard = number < len(_HARD_NAMES)
        extension, size = _kind(chance)
        folder = chance.choice(folders)
        name = _HARD_NAMES[number] if hard else b"%s_%04d.%s" % (folder[:3].strip(), number, extension)
        cold = hard or chance.random() < 0.6
        age = chance.uniform(100, 900) if cold else chance.uniform(0.5, 80)
        made = _make(project, folder + b"/" + name, _content(block, number, size), now - age * _DAY)
        project.hard_names += hard and made
        step()
    return project


def _kind(chance: random.Random) -> tuple[bytes, int]:
    extension, _, least, greatest = chance.choices(_KINDS, [weight for _, weight, _, _ in _KINDS])[0]
    return extension, int(least + (greatest - least) * chance.random() ** 3)


def _content(block: bytes, number: int, size: int) -> bytes:
    start = number * 7919 % _BLOCK
    content = b"%08d\n" % number + block[start:] + block * (size // _BLOCK + 1)
    return content[:size]


def _make(project: Project, path: bytes, content: bytes, when: float) -> bool:
    full = project.full(path)
    try:
        with full.open("xb") as file:
            file.write(content)
    except (OSError, ValueError):
        return False  # This file system takes no such name; the tree does without it.
    moment = int(when) * 1_000_000_000
    os.utime(full, ns=(moment, moment))
    project.files[path] = Original(path, len(content), hashlib.sha256(content).digest(), moment)
    return True
