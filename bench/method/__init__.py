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
    model_validator,
)
from bench.method.clusters import k_means, nearest
from bench.method.coded import Coded
from bench.method.codes import pack_codes, unpack_codes
from bench.method.factors import directions, project
from bench.method.index_map import bits_for, pack_numbers, stream_bytes, unpack_numbers
from bench.method.lengths import pack_lengths, unpack_lengths, with_scale
from bench.method.narrow import (
    WIDE,
    Narrow,
    columns,
    confirm_minimum,
    fill_columns,
    solve_width,
    value_size,
    widen,
    width_field,
)
from bench.method.precision import AWARE, Levels, Scale, ScaleBits, Storage
from bench.method.pruning import SCALES, WIDTHS, Pruned
from bench.method.size import Array, Arrays, Size, f32, largest, size_of
from bench.method.spectral import (
    components,
    normalised,
    spectral_clusters,
    spectral_vectors,
)
from bench.method.straight_through import RangedRounding, Rounding
from bench.method.tensortrain import train_rows, train_table
from bench.method.universal import draw_hashes, hashed, least_prime
from bench.method.user_share import USERS, divide

__all__ = [
    "AWARE",
    "SCALES",
    "USERS",
    "WIDE",
    "WIDTHS",
    "AliasChoices",
    "Array",
    "Arrays",
    "Bits",
    "Budget",
    "Choice",
    "Coded",
    "Field",
    "Infeasible",
    "Levels",
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
    "ScaleBits",
    "Size",
    "Space",
    "Storage",
    "Table",
    "bits_for",
    "columns",
    "components",
    "confirm_minimum",
    "directions",
    "divide",
    "draw_hashes",
    "f32",
    "fill_columns",
    "hashed",
    "k_means",
    "largest",
    "least_prime",
    "model_validator",
    "nearest",
    "normalised",
    "pack_codes",
    "pack_lengths",
    "pack_numbers",
    "project",
    "size_of",
    "solve_width",
    "spectral_clusters",
    "spectral_vectors",
    "stream_bytes",
    "train_rows",
    "train_table",
    "unpack_codes",
    "unpack_lengths",
    "unpack_numbers",
    "value_size",
    "widen",
    "width_field",
    "with_scale",
]
