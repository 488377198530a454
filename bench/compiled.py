"""Loops that are compiled by numba.

Import files of loops where their functions are called and not at the top of a module: numba takes a
fifth of a second to load. Compiled code is kept in numba's cache (beside the
file, or in the user's cache folder where that is read-only), so that only the first process
compiles, for some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])


@cache
def available() -> bool:
    """Whether loops can be compiled here."""
    try:
        import numba
    except ImportError:
        return False
    return callable(numba.njit)


def compiled(function: _Function, **options: Any) -> _Function:
    """The function as machine code, from the cache where there is one."""
    import numba

    options |= {"nogil": True, "error_model": "numpy"}
    try:
        found = numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder can be written
        return cast(_Function, numba.njit(function, **options))
    cache = cast(Any, found)._cache  # numba has no public way
    save = cache.save_overload

    def save_if_possible(*what: Any) -> None:
        # A process that trains may not write there. The next one compiles again.
        with suppress(OSError):
            save(*what)

    cache.save_overload = save_if_possible
    return cast(_Function, found)


def reordered(function: _Function) -> _Function:
    """Like `compiled`; sums may be taken in another order, which vector instructions need."""
    return compiled(function, fastmath={"reassoc"})
