"""Keeping the memory of large arrays that are freed: a setting of the C library.

By default glibc returns arrays of several megabytes to the system when they are freed. The next
array of that size then needs new pages, and each new page costs a page fault. A step that works on
all rows of a table allocates a dozen such arrays; on Gowalla, page faults take a tenth to
a third of its time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory in this process for the next array.

    To be called once when a program that trains starts. Results do not depend on it.

    Returns:
        Whether the setting was accepted; only glibc on Linux has it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
