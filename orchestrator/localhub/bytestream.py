"""Bytes from one open file to another, with the checksum of what passed, at the speed that was asked for."""

import hashlib
import os
import threading
from collections.abc import Callable

_PIECE = 1 << 20
_PAGE = 4096


class Throttle:
    """How slow the Hub is told to be: a delay for each file, and a rate for bytes; 0 and None mean at full speed."""

    def __init__(self, file_delay: float = 0.0, bytes_per_second: int | None = None) -> None:
        self.file_delay = file_delay
        self.bytes_per_second = bytes_per_second
        self.stopping = threading.Event()

    def file(self, extra: float = 0.0) -> None:
        """Wait for one file."""
        if self.file_delay + extra > 0:
            self.stopping.wait(self.file_delay + extra)

    def moved(self, count: int) -> None:
        """Wait for some bytes."""
        if self.bytes_per_second:
            self.stopping.wait(count / self.bytes_per_second)

    @property
    def active(self) -> bool:
        """Say whether files are slowed down."""
        return self.file_delay > 0 or bool(self.bytes_per_second)


def copy_bytes(source: int, sink: int, moved: Callable[[int], None]) -> tuple[int, bytes]:
    """Copy from the start of one file to the start of another; give the number of bytes and their SHA-256."""
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(source, _PIECE, at):
        digest.update(piece)
        done = 0
        while done < len(piece):
            done += os.pwrite(sink, piece[done:] if done else piece, at + done)
        at += len(piece)
        moved(len(piece))
    return at, digest.digest()


def checksum(descriptor: int, *, from_disk: bool = False) -> bytes:
    """Give the SHA-256 of a file; `from_disk` first drops its pages from memory, so that they are read again."""
    if from_disk and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, at = hashlib.sha256(), 0
    while piece := os.pread(descriptor, _PIECE, at):
        digest.update(piece)
        at += len(piece)
    return digest.digest()


def nothing_but(part: int, whole: int, start: int, end: int) -> bool:
    """Say whether a range of one file holds nothing but pages of the other at the same place, or zeros."""
    while start < end:
        length = min(_PIECE, end - start)
        piece, expected = os.pread(part, length, start), os.pread(whole, length, start)
        if not piece:
            return True
        if piece != expected and not _pages_fit(piece, expected):
            return False
        start += len(piece)
    return True


def _pages_fit(piece: bytes, expected: bytes) -> bool:
    for at in range(0, len(piece), _PAGE):
        page = piece[at : at + _PAGE]
        if page != expected[at : at + _PAGE] and any(page):
            return False
    return True
