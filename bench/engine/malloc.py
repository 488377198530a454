"""What the C library does with large arrays that are freed: a setting of this process.

By default glibc gives arrays of some megabytes back to the system at once, so that the next one of
that size is made of new pages, each of which costs a fault. A step that works on all rows of a
table makes a dozen such arrays; on Gowalla, faults are a tenth to a third of its time.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keeps freed memory for the next array, until the process ends; whether that could be set.

    For a program that trains, at its start. Numbers do not depend on it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
