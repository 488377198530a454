"""Compressing RecBole's models in place; its trainer and evaluator stay as they are.

RecBole itself is imported only when a function is called.
"""

from bench.recbole.compact import Compact, compact
from bench.recbole.compat import compatible

__all__ = ["Compact", "compact", "compatible"]
