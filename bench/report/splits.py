"""How test and validation data were split off, in words."""

from __future__ import annotations

import re

from bench.board import Board

# The end of a split's id, as bench/data makes it: a part without a percentage was given.
_RULE = re.compile(
    r"(?:t(?P<test>\d+)-)?(?:vgiven|v(?P<valid>\d+)-s\d+)(?:-[0-9a-f]{8})?(?:\+refit)?"
)


def split_statement(board: Board) -> str:
    """Return the sentences on how test and validation data were split off."""
    rule = _RULE.fullmatch(board.split.removeprefix(f"{board.dataset}-"))
    if rule is None:  # not an id of this program
        return _meaning(board)
    test, valid = rule["test"], rule["valid"]
    first = (
        f"Test interactions are a random {test} % of each user's interactions."
        if test
        else "The test part came with the data set, and need not be a random part of it."
    )
    rest = "the others" if test else "each user's training interactions"
    second = (
        f"Validation interactions are a random {valid} % of {rest}."
        if valid
        else "The validation part came with the data set."
    )
    return f"{first} {second} {_meaning(board)}"


def _meaning(board: Board) -> str:
    if board.temporal:
        return "The split is temporal: test interactions are later than training interactions."
    return (
        "Numbers say how well held-out interactions are recovered, not how well the future is "
        "predicted."
    )
