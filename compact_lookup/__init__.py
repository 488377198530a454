"""Reads a folder that `bench export` wrote: rows and recommendations, with NumPy and safetensors.

    table = compact_lookup.load("folder")
    table.rows([0, 1, 2])                   # float32 [3, columns], by number
    table.user("u17"), table.item("i4")     # float32 [columns], by your own ids
    table.recommend("u17", k=20, seen=["i4"])

Nothing in the folder is executed. A damaged file raises `BadFile`, which is a `ValueError`.
"""

from compact_lookup.container import BadFile, File
from compact_lookup.table import NoReader, Table, load
from compact_lookup.values import Values

__all__ = ["BadFile", "File", "NoReader", "Table", "Values", "load"]
