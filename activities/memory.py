"""How a long-lived process gives memory back to the machine, in which others work."""

import ctypes
from contextlib import suppress

import pyarrow as pa

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
"""Parameters of `mallopt(3)`."""


def use_little_memory() -> None:
    """Let allocators keep little of what is freed; to be called before threads begin.

    glibc makes an arena for each of eight threads a core, keeps what is free in it, and raises by itself the size from
    which on a block is given back; Arrow's own allocators keep what they had. Elsewhere than on glibc only Arrow heeds.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 2)
        libc.mallopt(_MMAP_THRESHOLD, 256 << 10)
        libc.mallopt(_TRIM_THRESHOLD, 1 << 20)
