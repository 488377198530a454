"""Whether the rows of a board had equal trials when their settings were tuned."""

from __future__ import annotations

from bench.board.model import Board

_ROLES = ("method", "control", "ceiling")


def trials_statement(board: Board) -> str:
    """Return a sentence on the trials of a board's rows; empty if no row has counted trials."""
    known: list[float] = []
    unknown = 0
    for _, entry in board.rows():
        if entry.row.role in _ROLES:
            planned = entry.row.mean("trials")
            if planned is None:
                unknown += 1
            else:
                known.append(planned)
    if not known:
        return ""
    low, high = min(known), max(known)
    if low == high and not unknown:
        return (
            f"The settings of each row were chosen on validation data, from {low:,.0f} trials."
            " Settings of other budgets and data sets may have competed with them; `compared` in"
            " the file of tuned settings names these."
        )
    span = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    without = f" and {unknown} without a count" if unknown else ""
    return (
        f"Unequal tuning: the settings of the rows were chosen from unequal numbers of trials:"
        f" {len(known)} rows with {span}{without}."
    )
