"""What lies below a file's name: its blocks, holes, times, the mark of a stub, and the lease that keeps writers out."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

MARK = b"user.localhub.stub"
_PUNCH_AND_KEEP_SIZE = 0x02 | 0x01
_ROUND = 1 << 16
_NO_LEASES = {errno.EINVAL, errno.EACCES, errno.ENOLCK, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP}


def _fallocate() -> "ctypes._NamedFuncPointer | None":
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return function


_FALLOCATE = _fallocate()


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


@contextmanager
def alone(descriptor: int, *, required: bool) -> Iterator[None]:
    """Hold a lease: whoever opens the file waits until the end; raise FileBusy when it is open already and that matters."""
    held = _take_lease(descriptor, required)
    try:
        yield
    finally:
        if held:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _take_lease(descriptor: int, required: bool) -> bool:
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
