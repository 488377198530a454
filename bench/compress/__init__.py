"""Compressing users' and items' vectors that somebody already has. See docs/compress.md."""

from bench.compress.folder import write
from bench.compress.judge import Judge
from bench.compress.tables import Outcome, compress
from bench.compress.vectors import Vectors, read_vectors

__all__ = ["Judge", "Outcome", "Vectors", "compress", "read_vectors", "write"]
