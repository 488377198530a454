"""Writing an exported folder, and checking that it reads back."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch

import compact_lookup
from bench.data.numbering import number
from bench.errors import BenchError
from bench.export.again import Table
from bench.export.card import Card
from bench.export.find import Data
from bench.export.names import names_file
from bench.files import write_atomic
from bench.method import Method
from bench.method.file import read_file
from bench.records.schema import Record

TABLE, IDS, CARD, LICENCE = "embeddings.safetensors", "ids.safetensors", "README.md", "LICENSE"
GRAPH = "embeddings.onnx"
_SOME = 20_000  # rows that are compared, at most
_CLOSE = 1e-6  # of the largest value


@dataclass(frozen=True)
class Sizes:
    """What was written.

    Attributes:
        table, ids: bytes of the files.
        kinds: bytes of the table by what they hold.
        read: whether `compact_lookup` can read the table; else somebody has to write a reader.
        reader: name of the plugin's file with the function that it reads it by; empty for none.
    """

    table: int
    ids: int
    kinds: dict[str, int]
    read: bool
    reader: str = ""


def check_target(folder: Path, force: bool) -> None:
    """Refuse a folder that has something in it already.

    Raises:
        BenchError: it has, and nothing may be overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"{folder}: a file is there; name a folder with --to")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise BenchError(f"{folder}: not empty; --force overwrites its files, or name another one")


def write_folder(
    folder: Path,
    record: Record,
    table: Table,
    data: Data,
    kind: type[Method],
    card: Card,
) -> Sizes:
    """Write table, ids, card and licence.

    Args:
        folder: made if need be.
        record: of the run.
        table: its file, and what it was trained on.
        data: with the ids that the numbers stand for.
        kind: the method.
        card: writes the description.

    Raises:
        BenchError: `compact_lookup` reads other rows than the program.
        StoreError: the folder cannot be written.
    """
    order = number(table.split, (record.spec.training or {}).get("numbering", "popularity"))
    users, items = data.users.texts(), data.items.texts()
    ids = names_file(
        [users[i] for i in order.users.tolist()], [items[i] for i in order.items.tolist()]
    )
    read = reads_back(folder, table.content, kind)
    own = Path(inspect.getfile(kind)).name if own_reader(kind) else ""
    sizes = Sizes(len(table.content), len(ids), by_kind(table.content, kind), read, own)
    write_files(folder, table.content, ids, card.text(record, table, sizes))
    return sizes


def reads_back(folder: Path, content: bytes, kind: type[Method]) -> bool:
    """Whether `compact_lookup` reads a table; its rows must then be those of the program.

    Args:
        folder: for a temporary file; made if need be.
        content: the file of the table.
        kind: the method.

    Raises:
        BenchError: it reads other rows.
        StoreError: the folder cannot be written.
    """
    scratch = folder / f".{TABLE}"
    _write(scratch, content)
    try:
        return _compare(scratch, content, kind)
    finally:
        scratch.unlink()


def write_files(folder: Path, content: bytes, ids: bytes, card: str) -> None:
    """Write the files of a folder; the table last, when all else is there.

    Table and graph of an earlier export go first. Whoever reads the folder meanwhile, or after a
    kill, finds no table, and not the old one with new ids.

    Raises:
        StoreError: the folder cannot be written.
    """
    for old in (TABLE, GRAPH):
        (folder / old).unlink(missing_ok=True)
    _write(folder / IDS, ids)
    _write(folder / CARD, card.encode())
    _write(folder / LICENCE, _licence().encode())
    _write(folder / TABLE, content)


def by_kind(content: bytes, kind: type[Method]) -> dict[str, int]:
    """Bytes of a file by what they hold; the rest is its header."""
    packed, _ = read_file(kind, content)
    found: dict[str, int] = {}
    for name, array in packed.arrays.items():
        what = packed.kinds[name]
        found[what] = found.get(what, 0) + array.numel() * array.element_size()
    return found | {"header": len(content) - sum(found.values())}


def _write(path: Path, content: bytes) -> None:
    write_atomic(path, lambda stream: stream.write(content))


def own_reader(kind: type[Method]) -> Any:
    """The function `reader` in the file of a method, if there is one."""
    import sys

    return getattr(sys.modules[kind.__module__], "reader", None)


def _compare(path: Path, content: bytes, kind: type[Method]) -> bool:
    """Whether `compact_lookup` reads the file; its rows must then be those of the program."""
    try:
        found = compact_lookup.load(path, reader=own_reader(kind))
    except compact_lookup.NoReader:
        return False
    _, method = read_file(kind, content)
    total = found.users + found.items
    some = np.unique(np.linspace(0, total - 1, min(total, _SOME)).astype(np.int64))
    with torch.no_grad():
        wanted = method(torch.from_numpy(some)).numpy()
    rows = found.rows(some)
    columns = rows.shape[1]
    most = _CLOSE * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    same = np.allclose(rows, wanted[:, :columns], rtol=_CLOSE, atol=most)
    if not same or wanted[:, columns:].any():
        raise BenchError(
            f"{kind.name}: compact_lookup reads other rows than the program; its reader in"
            " compact_lookup/readers, or `reader` in its file, has to be corrected"
        )
    return True


def _licence() -> str:
    """The licence of this program."""
    checkout = Path(__file__).resolve().parents[2] / LICENCE
    if checkout.is_file():
        return checkout.read_text(encoding="utf-8")
    try:
        files = distribution("compact-embedding-benchmark").files or []
    except PackageNotFoundError:
        files = []
    found = [file for file in files if file.name == LICENCE]
    return found[0].read_text() if found else "MIT License\n"
