"""Packs the per-user metrics of older runs: `python -m bench.records.compact FOLDER [DATA_DIR]`.

Earlier versions wrote every array into the file of every run. Packing changes only the last digits
of the NDCG of single users, which is stored in half precision. It loads the data sets of the runs,
because the old files lack the number of test items of each user.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from bench.data import Interactions, load
from bench.errors import BenchError
from bench.files import write_atomic
from bench.records import per_user
from bench.records.scan import scan
from bench.records.schema import Record


def compact(results: Path, data_dir: Path | None = None) -> int:
    """Pack the per-user files of a results folder.

    Args:
        results: the folder of the runs.
        data_dir: folder of the data sets that cannot be downloaded.

    Returns:
        The number of packed files.

    Raises:
        BenchError: a data set has another fingerprint than its runs.
    """
    packed, sets = 0, dict[str, Interactions]()
    for record in scan(results).records:
        path = (results / record.path).with_suffix(".npz")
        if record.status != "ok" or not path.exists():
            continue
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if "hits@20" in arrays:
            continue
        name = record.spec.dataset.name
        sets[name] = sets.get(name) or load(name, data_dir=data_dir)
        _pack(results, path, record, arrays, sets[name])
        packed += 1
    return packed


def _pack(
    results: Path, path: Path, record: Record, arrays: per_user.Arrays, data: Interactions
) -> None:
    dataset = record.spec.dataset
    if data.fingerprint != dataset.fingerprint:
        raise BenchError(f"{data.name} is not the data of {record.path}: another fingerprint")
    degrees = data.test.degrees()[arrays["users"]].astype(np.int32)
    shared, own = per_user.split_up({**arrays, "test_items": degrees})
    where = per_user.shared_path(results, dataset.split, dataset.fingerprint)
    before = per_user.read(results, record)
    if not where.exists():
        write_atomic(where, lambda f: np.savez_compressed(f, **shared))
    if not per_user.same(where, shared):
        raise BenchError(f"{path}: its users are not those of {where.name}")
    write_atomic(path, lambda f: np.savez_compressed(f, **own))
    after = per_user.read(results, record)
    assert before is not None and after is not None
    if before.users != after.users or before.slices != after.slices:
        raise BenchError(f"{path}: the packed file has other content")


def main() -> None:
    """Pack the files of the folder that the command line names."""
    given = argparse.ArgumentParser("python -m bench.records.compact", description=__doc__)
    given.add_argument("folder", type=Path, help="results folder")
    given.add_argument("data_dir", type=Path, nargs="?", help="folder with data sets")
    options = given.parse_args()
    try:
        packed = compact(options.folder, options.data_dir)
    except BenchError as error:
        given.exit(2, f"error: {error}\n")
    sys.stdout.write(f"{packed} files packed\n")


if __name__ == "__main__":
    main()
