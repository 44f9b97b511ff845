"""The heap of a process that works with few, large arrays, which come and go: as glibc keeps it, where there is one."""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""What can be set, by the numbers of ``malloc.h``."""
_KEPT_BYTES = 256 * 1024 * 1024
"""So much of what is free at the end of the heap is kept for the next array, in place of being handed back."""
_OWN_BYTES = 32 * 1024 * 1024
"""Only larger arrays get pages of their own: the most that glibc lets one say on a machine of 64 bits."""


def keep_heap() -> None:
    """Keep one heap for all threads, and its pages from array to array.

    Else each thread has a heap, which holds on to what it once had; and every array's pages are handed back and
    cleared for the next one by the kernel, again and again. Does nothing where the C library is not glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 1)
        libc.mallopt(_MMAP_THRESHOLD, _OWN_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
