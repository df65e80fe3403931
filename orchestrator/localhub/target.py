"""The target folder: copies written under a temporary name, verified, then named like the file they are of."""

import os
import sqlite3
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.localhub.bytestream import Throttle, checksum, copy_bytes
from orchestrator.localhub.copies import Copy, Residence, owner_of
from orchestrator.localhub.outcome import failed
from orchestrator.localhub.tree import Tree, Visit

PARTIAL = b".partial"
OTHERS = b".copies"


@dataclass(frozen=True)
class Draft:
    """A copy that has no lasting name yet, open still."""

    name: bytes
    size: int
    sha256: bytes
    descriptor: int


class Target:
    """An external target of the storage type file system."""

    def __init__(self, root: Path, throttle: Throttle) -> None:
        self.tree = Tree(root)
        self.throttle = throttle

    def clear_drafts(self) -> None:
        """Remove what a crash left under temporary names."""
        with self.tree.visit() as visit:
            folder = visit.folder(PARTIAL, make=True)
            for name in visit.names(PARTIAL):
                os.unlink(name, dir_fd=folder)

    def draft(self, visit: Visit, source: int) -> Draft:
        """Copy an open file under a temporary name; the caller syncs it. End as failed when that cannot be done."""
        folder, name = visit.folder(PARTIAL, make=True), uuid.uuid4().hex.encode()
        try:
            sink = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=folder)
        except OSError as error:
            raise failed("target_error", f"cannot make the copy: {error.strerror}") from error
        try:
            size, digest = copy_bytes(source, sink, self.throttle.moved)
        except OSError as error:
            self.discard(visit, Draft(name, 0, b"", sink))
            raise failed("target_error", f"cannot write the copy: {error.strerror}") from error
        return Draft(name, size, digest, sink)

    def verify(self, draft: Draft) -> None:
        """Read a synced draft back from the disk; end as failed when it is not what was written."""
        if checksum(draft.descriptor, from_disk=True) != draft.sha256:
            raise failed("checksum", "the copy read back from the target differs from what was written")

    def discard(self, visit: Visit, draft: Draft) -> None:
        """Remove a draft that nobody needs."""
        os.close(draft.descriptor)
        with suppress(FileNotFoundError):
            os.unlink(draft.name, dir_fd=visit.folder(PARTIAL, make=True))

    def publish(
        self, visit: Visit, draft: Draft, path: bytes | None, ino: int, database: sqlite3.Connection
    ) -> tuple[bytes, Copy | None]:
        """Give a draft its lasting name; give that name and the record of the copy that it took the place of, if any.

        The name is the file's own path, unless that is None, or another file's only copy or an unknown file lies there.
        The caller syncs the folder before it relies on the name.
        """
        owner = owner_of(database, path) if path is not None else None
        ours = owner is not None and (owner.ino == ino or owner.state is Residence.PREMIGRATED)
        if path is not None and path.split(b"/", 1)[0] not in (PARTIAL, OTHERS):
            # A file may lie where a folder is needed, or the other way round: then the copy takes a name of its own.
            with suppress(NotADirectoryError, IsADirectoryError, FileExistsError):
                if ours or (owner is None and self._may_take(visit, path, draft)):
                    return self._rename(visit, draft, path), owner
        other = uuid.uuid4().hex.encode()
        return self._rename(visit, draft, b"/".join((OTHERS, other[:2], other))), None

    def open(self, visit: Visit, name: bytes) -> int:
        """Open a copy for reading; end as failed when it is not there."""
        try:
            return visit.open(name, os.O_RDONLY)
        except OSError as error:
            raise failed("target_error", f"cannot read the copy: {error.strerror}") from error

    def holds(self, visit: Visit, copy: Copy) -> bool:
        """Read a copy again and say whether it is what its record says."""
        try:
            descriptor = visit.open(copy.object, os.O_RDONLY)
        except OSError:
            return False
        try:
            seen = os.fstat(descriptor)
            return stat.S_ISREG(seen.st_mode) and seen.st_size == copy.size and checksum(descriptor) == copy.sha256
        finally:
            os.close(descriptor)

    def remove(self, visit: Visit, name: bytes) -> int:
        """Remove a copy; give the bytes that it took."""
        try:
            folder, last = visit.place(name)
            taken = os.stat(last, dir_fd=folder, follow_symlinks=False).st_blocks * 512
            os.unlink(last, dir_fd=folder)
        except FileNotFoundError:
            return 0
        return taken

    def sync(self, visit: Visit, names: set[bytes]) -> None:
        """Make the names of copies durable."""
        for folder in {name.rpartition(b"/")[0] for name in names}:
            os.fsync(visit.folder(folder))

    def _may_take(self, visit: Visit, path: bytes, draft: Draft) -> bool:
        """A name is free when nothing lies there, or what a crash left there is exactly our copy."""
        folder, name = visit.place(path, make=True)
        try:
            there = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return True
        try:
            seen = os.fstat(there)
            return stat.S_ISREG(seen.st_mode) and seen.st_size == draft.size and checksum(there) == draft.sha256
        finally:
            os.close(there)

    def _rename(self, visit: Visit, draft: Draft, name: bytes) -> bytes:
        folder, last = visit.place(name, make=True)
        os.rename(draft.name, last, src_dir_fd=visit.folder(PARTIAL), dst_dir_fd=folder)
        os.close(draft.descriptor)
        return name
