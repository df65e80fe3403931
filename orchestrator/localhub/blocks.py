"""What lies below a file's name: its blocks, holes, times, the mark of a stub, and the lease that keeps writers out."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator

MARK = b"user.localhub.stub"
_PUNCH_AND_KEEP_SIZE = 0x02 | 0x01
_START_WRITING = 0x02
_ROUND = 1 << 16
_NO_LEASES = {errno.EINVAL, errno.EACCES, errno.ENOLCK, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}


def _system_call(*names: str, arguments: list[type]) -> "ctypes._NamedFuncPointer | None":
    library = ctypes.CDLL(None, use_errno=True)
    for name in names:
        function: ctypes._NamedFuncPointer | None = getattr(library, name, None)
        if function is not None:
            function.argtypes = arguments
            return function
    return None


_FALLOCATE = _system_call(
    "fallocate64", "fallocate", arguments=[ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
)
_SYNC_RANGE = _system_call("sync_file_range", arguments=[ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint])


class FileBusy(Exception):
    """Somebody else holds the file open."""


def free(descriptor: int, size: int) -> None:
    """Give back all blocks of a file and keep its size; by a hole where the file system can, else by truncation."""
    if size == 0:
        return
    length = -(-size // _ROUND) * _ROUND
    if _FALLOCATE is not None and _FALLOCATE(descriptor, _PUNCH_AND_KEEP_SIZE, 0, length) == 0:
        return
    os.ftruncate(descriptor, 0)
    os.ftruncate(descriptor, size)


def begin_to_write(descriptor: int) -> None:
    """Let the kernel begin to write a file's pages; syncing a group that began together costs few journal commits."""
    if _SYNC_RANGE is not None:
        _SYNC_RANGE(descriptor, 0, 0, _START_WRITING)


def hollow(descriptor: int) -> bool:
    """Say whether the file holds no data at all."""
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return True
        raise
    return False


def has_hole(descriptor: int, size: int) -> bool:
    """Say whether some part of the file is a hole."""
    return size > 0 and os.lseek(descriptor, 0, os.SEEK_HOLE) < size


def data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Walk the parts of a file that hold data, as offset and end."""
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < at:
            yield start, at


def mark(descriptor: int) -> None:
    """Mark a file as a stub, where the file system keeps attributes."""
    try:
        os.setxattr(descriptor, MARK, b"1")
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOSPC):
            raise


def unmark(descriptor: int) -> None:
    """Take the mark of a stub away."""
    try:
        os.removexattr(descriptor, MARK)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA):
            raise


def marked(descriptor: int) -> bool | None:
    """Say whether the file carries the mark of a stub; None where the file system keeps no attributes."""
    try:
        os.getxattr(descriptor, MARK)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        if error.errno == errno.ENOTSUP:
            return None
        raise
    return True


def marked_at(folder: int, name: bytes) -> bool:
    """Say whether the file of a name in an open folder carries the mark of a stub, without opening it."""
    try:
        os.getxattr(b"/proc/self/fd/%d/%b" % (folder, name), MARK, follow_symlinks=False)
    except OSError:
        return False
    return True


def take_lease(descriptor: int, *, required: bool) -> bool:
    """Make whoever opens the file wait until this descriptor is closed, where the system has leases.

    When somebody has the file open already: raise FileBusy if that matters, else do without.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            if required:
                raise FileBusy("the file is open in another program") from error
            return False
        if error.errno in _NO_LEASES:
            return False
        raise
    return True
