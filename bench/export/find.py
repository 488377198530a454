"""Which run is meant, and the data that it was trained on."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.board import load
from bench.board.choose import choose
from bench.data import Interactions, load_labels
from bench.data.labels import Labels
from bench.errors import BenchError
from bench.records.scan import scan
from bench.records.schema import Record
from bench.records.store import KEPT, Store

_SHOWN = 5  # runs that an error message lists


def find_run(results: Path, start: str) -> Record:
    """The run whose id begins like this.

    Raises:
        BenchError: there is none, or several, or it has no table.
    """
    records = scan(results).records
    found = [record for record in records if record.id.startswith(start.lower())]
    if not found:
        raise BenchError(
            f"no run {start!r} in {results}: ids are the names of the records, and reports list"
            " them; --best --max-bytes SIZE finds one"
        )
    if len(found) > 1:
        ids = ", ".join(record.id for record in found[:_SHOWN])
        raise BenchError(f"{len(found)} runs begin with {start!r} ({ids}); give more digits")
    return _with_table(found[0])


def best_run(
    results: Path, max_bytes: int, dataset: str | None = None, backbone: str | None = None
) -> Record:
    """The run that `bench choose` recommends; of its seeds, the one that validation prefers.

    Args:
        results: folder with the records.
        max_bytes: the most that the table may take.
        dataset: name or split id; None if the folder has one data set.
        backbone: only this one.

    Raises:
        BenchError: nothing fits, popularity is better than what fits, or the data set is unclear.
    """
    advice = choose(load(results), max_bytes, backbone=backbone, dataset=dataset)
    if len(advice) > 1:
        splits = ", ".join(one.split for one in advice)
        raise BenchError(f"{results} has several data sets ({splits}); name one with --dataset")
    choices, larger = advice[0].choices, advice[0].larger
    # Popularity is nearly always small enough. It is no reason why there is no table.
    if not any(choice.embedded for choice in choices):
        raise BenchError(
            f"no ranked table of {max_bytes:,} bytes or fewer in {results}; `bench report` names"
            " the runs that are not ranked, and why; name a run to export it all the same"
        )
    if not choices[0].embedded:
        remedy = (
            "train longer, tune, or add a budget"
            if larger is None
            else (f"a table of {larger.row.mean('bytes'):,.0f} bytes is better: raise --max-bytes")
        )
        raise BenchError(
            f"the popularity ranking is better than every table of {max_bytes:,} bytes or fewer;"
            f" {remedy}, or name a run to export it all the same"
        )
    return _with_table(choices[0].run)


def _with_table(record: Record) -> Record:
    if record.status != "ok" or record.spec.training is None:
        why = f"is {record.status}" if record.status != "ok" else "has no table"
        raise BenchError(f"the run {record.id} ({record.method.title}) {why}; export another one")
    return record


def kept_file(results: Path, record: Record) -> Path | None:
    """The file of a run, if it was kept and is the one that the record measured."""
    if record.file is None:
        return None
    path = Store(results).kept(record.spec, record.id, KEPT[0])
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return path if hashlib.sha256(content).hexdigest() == record.file.sha256 else None


@dataclass(frozen=True)
class Data:
    """The data of a run.

    Attributes:
        split: in the numbers of its files.
        users, items: what these numbers stand for.
        plugins: method files that the run was given.
    """

    split: Interactions
    users: Labels
    items: Labels
    plugins: tuple[Path, ...]


def load_data(
    record: Record,
    given: str | None = None,
    plugins: Sequence[Path] = (),
    data_dir: Path | None = None,
) -> Data:
    """Load the data of a run again, with the ids that they have in their files.

    Args:
        record: of the run.
        given: data set to take in place of the one in the command of the run.
        plugins: in place of those in the command.
        data_dir: where data sets are.

    Raises:
        BenchError: the data cannot be loaded, or are not those of the run.
    """
    named, had = _of_command(record.command)
    source = given or named or record.spec.dataset.name
    split, users, items = load_labels(source, data_dir=data_dir)
    if split.fingerprint != record.spec.dataset.fingerprint:
        raise BenchError(
            f"{source}: the interactions are not those of the run {record.id}, which was made of"
            f" {record.spec.dataset.split}; name the right data with --dataset"
        )
    return Data(split, users, items, tuple(plugins) or had)


def _of_command(command: str) -> tuple[str | None, tuple[Path, ...]]:
    """Data set and plugins of a recorded command."""
    words = shlex.split(command)
    pairs = list(pairwise(words))
    sources = [value for key, value in pairs if key in ("--dataset", "-d")]
    plugins = tuple(Path(value) for key, value in pairs if key == "--plugin")
    return sources[-1] if sources else None, plugins
