"""All that a method file needs. `bench/method/base.py` is the file to read before writing one."""

from bench.budget import Bits
from bench.method.base import (
    AliasChoices,
    Budget,
    Choice,
    Field,
    Infeasible,
    LogRange,
    Method,
    Pairs,
    Phase,
    Progress,
    Range,
    Role,
    Rows,
    Space,
    Table,
)
from bench.method.clusters import k_means, nearest
from bench.method.coded import Coded
from bench.method.codes import pack_codes, unpack_codes
from bench.method.factors import directions, project
from bench.method.lengths import pack_lengths, unpack_lengths
from bench.method.narrow import WIDE, Narrow, columns, fill_columns, solve_width, value_size, widen
from bench.method.precision import AWARE, Scale, Storage
from bench.method.pruning import Pruned
from bench.method.size import Array, Arrays, size_of
from bench.method.straight_through import RangedRounding, Rounding
from bench.method.tensortrain import train_rows
from bench.method.user_share import USERS, divide

__all__ = [
    "AWARE",
    "USERS",
    "WIDE",
    "AliasChoices",
    "Array",
    "Arrays",
    "Bits",
    "Budget",
    "Choice",
    "Coded",
    "Field",
    "Infeasible",
    "LogRange",
    "Method",
    "Narrow",
    "Pairs",
    "Phase",
    "Progress",
    "Pruned",
    "Range",
    "RangedRounding",
    "Role",
    "Rounding",
    "Rows",
    "Scale",
    "Space",
    "Storage",
    "Table",
    "columns",
    "directions",
    "divide",
    "fill_columns",
    "k_means",
    "nearest",
    "pack_codes",
    "pack_lengths",
    "project",
    "size_of",
    "solve_width",
    "train_rows",
    "unpack_codes",
    "unpack_lengths",
    "value_size",
    "widen",
]
