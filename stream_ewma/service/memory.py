"""Settings of the C library's allocator for a process that moves megabytes all day."""

import ctypes
from typing import Final

# glibc's malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_KEPT_BYTES: Final = 256 << 20
_MAPPED_FROM_BYTES: Final = 32 << 20


def keep_freed_memory() -> bool:
    """Let the allocator keep buffers it has once got; answers whether it can (glibc).

    A step frees tens of megabytes of columns and batches that the next one asks for again. By
    default glibc returns such memory to the system and takes it back page by page, each page
    cleared anew, and gives each thread an arena of its own whose gaps the others cannot use.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is None:
        return False
    options = (
        (_M_ARENA_MAX, 1),
        (_M_TRIM_THRESHOLD, _KEPT_BYTES),
        (_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES),
    )
    return all(set_option(option, value) == 1 for option, value in options)
