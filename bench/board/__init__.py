"""Leaderboards, made of run records. `load` is where to begin. Nothing here needs PyTorch."""

from bench.board.backbones import Across
from bench.board.loading import Board, load
from bench.board.model import Curve, Entry, Gap, Group, Leaderboard, Point, Row

__all__ = [
    "Across",
    "Board",
    "Curve",
    "Entry",
    "Gap",
    "Group",
    "Leaderboard",
    "Point",
    "Row",
    "load",
]
