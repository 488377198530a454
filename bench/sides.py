"""How users and items divide the rows of a table that each of them shares.

Both have an equal say in a score, and there may be fewer of one: a row that nobody shares costs a
side less bytes the fewer ids it has. So a division in proportion need not be the best.
"""

from __future__ import annotations

from bench.method import Choice, Table

USERS = Choice((None, 0.5, 0.6))  # what `bench tune` tries


def divide(table: Table, rows: int, share: float | None) -> tuple[int, int]:
    """Rows of users and of items, together `rows`, of which there are 2 to N.

    Args:
        table: says how many users and items there are; neither gets more rows than that.
        rows: to divide.
        share: that of users; none: in proportion to their number.
    """
    users = round(rows * (table.users / table.ids if share is None else share))
    low, high = max(1, rows - table.items), min(rows - 1, table.users)
    users = max(low, min(users, high))
    return users, rows - users
