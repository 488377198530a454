"""How users and items divide what a method has to spend: rows of a table, or entries of one.

Both have an equal say in a score, however many there are of either, and what a rare item's row says
counts in few. So a division in proportion to their numbers need not be the best.
"""

from __future__ import annotations

from bench.method.base import Choice

USERS = Choice((None, 0.5, 0.6, 0.8), coarse=True)  # what `bench tune` tries


def divide(count: int, share: float | None, most: tuple[int, int]) -> tuple[int, int]:
    """Parts of users and of items, together `count`, of which there are 2 at least.

    Args:
        count: to divide.
        share: that of users; none: in proportion to `most`.
        most: of users and of items: what one side cannot use is the other's.
    """
    users = round(count * (most[0] / sum(most) if share is None else share))
    low, high = max(1, count - most[1]), min(count - 1, most[0])
    users = max(low, min(users, high))
    return users, count - users
