"""Leaderboards, made of run records. `load` is where to begin. Nothing here needs PyTorch."""

from bench.board.backbones import SideBySide
from bench.board.datasets import AcrossDatasets
from bench.board.loading import Boards, load
from bench.board.model import Board, Curve, Entry, Gap, Leaderboard, Point, Row

__all__ = [
    "AcrossDatasets",
    "Board",
    "Boards",
    "Curve",
    "Entry",
    "Gap",
    "Leaderboard",
    "Point",
    "Row",
    "SideBySide",
    "load",
]
