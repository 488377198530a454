"""RecBole as a neighbour: its models compressed in place, its trainer and evaluator unchanged.

RecBole itself is imported only when something here is called.
"""

from bench.recbole.compact import Compact, compact
from bench.recbole.compat import compatible

__all__ = ["Compact", "compact", "compatible"]
