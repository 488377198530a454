"""Per-user test metrics of a run: packing, reading, comparison with the record.

The runs of a split share the users, their numbers of test items and their quintiles of activity.
The file `<split>/users-<fingerprint>.npz` stores these once. The own file of a run has the hits of
each user and the NDCG of the users with a hit. Earlier versions wrote all arrays into one file;
such files are read as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.schema import Record

TOLERANCE = 2e-6
"""Largest error of a mean over users: float32 per user, but a mean taken in float64."""

SHARED = ("users", "test_items", "activity")
"""Arrays that are the same for all runs of a split."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class PerUser:
    """Metrics of one run for each test user.

    Attributes:
        users: hash of the user ids; runs with equal hashes can be paired.
        ndcg: float32 [users], NDCG@20.
        slices: recall of the quintiles by quantity key; missing where a quintile is empty.
    """

    users: str
    ndcg: NDArray[np.float32]
    slices: dict[str, float]


def shared_path(results: Path, split: str, fingerprint: str) -> Path:
    """Return the path of the arrays that the runs of a split share."""
    return results / split / f"users-{fingerprint[:12]}.npz"


def split_up(arrays: Mapping[str, NDArray[Any]]) -> tuple[Arrays, Arrays]:
    """Return the arrays that the runs of a split share, and the packed arrays of one run.

    Args:
        arrays: per test user `users`, `test_items`, `activity`, `recall@20`, `ndcg@20`; and
            int64 [5] `item_hits` and `item_total`.
    """
    shared = {name: arrays[name] for name in SHARED}
    hits = np.rint(arrays["recall@20"] * arrays["test_items"]).astype(np.uint8)
    # Only users with hits, sorted by hits: equal values are adjacent, and pack to two thirds.
    ndcg = np.asarray(arrays["ndcg@20"], dtype=np.float32)[_by_hits(hits)]
    short = ndcg.astype(np.float16)
    # Half precision is enough, unless the errors add up (few users or equal values).
    error = float(short.sum(dtype=np.float64) - ndcg.sum(dtype=np.float64)) / max(1, len(hits))
    own = {"hits@20": hits, "ndcg@20": short if abs(error) < 0.9 * TOLERANCE else ndcg}
    return shared, own | {k: arrays[k].astype(np.int32) for k in ("item_hits", "item_total")}


def same(path: Path, shared: Arrays) -> bool:
    """Return whether a file holds these shared arrays."""
    try:
        found = _load(path)
    except ValueError:
        return False
    return found.keys() == shared.keys() and all(
        np.array_equal(found[name], array) for name, array in shared.items()
    )


def read(results: Path, record: Record) -> PerUser | None:
    """Return the per-user metrics of a good record; None where there is no such file.

    Raises:
        ValueError: the file is damaged, or contradicts the record.
    """
    path = (results / record.path).with_suffix(".npz")
    if not path.exists():
        return None
    dataset = record.spec.dataset
    arrays, users = joined(path, shared_path(results, dataset.split, dataset.fingerprint))
    recall, ndcg = arrays.get("recall@20"), arrays.get("ndcg@20")
    if recall is None or ndcg is None or "users" not in arrays:
        raise ValueError(f"per-user metrics {path.name} cannot be read: an array is missing")
    ids = arrays["users"]
    if not (ids.ndim == 1 and ids.shape == recall.shape == ndcg.shape and len(ids)):
        raise ValueError(f"per-user metrics {path.name} have shapes that do not agree")
    assert record.metrics is not None  # checked by the scan for every good record
    for key, scores in (("recall@20", recall), ("ndcg@20", ndcg)):
        mean = float(scores.mean(dtype=np.float64))
        stated = record.metrics.test[key]
        if not abs(mean - stated) <= TOLERANCE:
            raise ValueError(
                f"metrics.test {key} is {stated:.6f}, but its per-user metrics average {mean:.6f}"
            )
    return PerUser(users, np.asarray(ndcg, dtype=np.float32), _slices(arrays, recall))


def joined(path: Path, shared_at: Path) -> tuple[Arrays, str]:
    """Return all arrays of a run as they were before packing, and the hash of its users.

    Args:
        path: the run's own file.
        shared_at: the file of its split; not needed if the run's own file has everything.

    Raises:
        ValueError: one of the files is damaged.
    """
    own = _load(path)
    if "hits@20" not in own:
        return own, _hash(own.get("users", np.empty(0)))
    if not shared_at.exists():
        raise ValueError(f"per-user metrics {path.name} need {shared_at.name} of their split")
    shared, users = _shared(shared_at, shared_at.stat().st_mtime_ns)
    hits, short = own.pop("hits@20"), own.get("ndcg@20", np.empty(0))
    if hits.shape != shared["users"].shape or short.shape != (int(np.count_nonzero(hits)),):
        raise ValueError(f"per-user metrics {path.name} have shapes that do not agree")
    ndcg = np.zeros(len(hits), dtype=np.float32)
    ndcg[_by_hits(hits)] = short
    # The run computed it in the same way: division in float64, result in float32.
    recall = (hits / shared["test_items"]).astype(np.float32)
    return {**shared, **own, "recall@20": recall, "ndcg@20": ndcg}, users


def _load(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zip, zlib and numpy raise different errors
        raise ValueError(f"per-user metrics {path.name} cannot be read: {error}") from error


@lru_cache(maxsize=16)
def _shared(path: Path, changed: int) -> tuple[Arrays, str]:
    """Return the arrays that runs share and the hash of their users; read once for all runs."""
    arrays = _load(path)
    if missing := set(SHARED) - arrays.keys():
        raise ValueError(f"{path.name} has no {min(missing)}")
    return arrays, _hash(arrays["users"])


def _by_hits(hits: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places of the users with a hit, those with fewest first."""
    return np.argsort(hits, kind="stable")[np.count_nonzero(hits == 0) :]


def _hash(users: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(users, dtype="<i4").tobytes()).hexdigest()[:12]


def _slices(arrays: Arrays, recall: NDArray[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    activity = arrays.get("activity")
    if activity is not None and activity.shape == recall.shape:
        for q in range(5):
            chosen = recall[activity == q]
            if len(chosen):
                found[f"users_{q + 1}"] = float(chosen.mean(dtype=np.float64))
    hits, total = arrays.get("item_hits"), arrays.get("item_total")
    if hits is not None and total is not None and hits.shape == total.shape == (5,):
        for q in range(5):
            if 0 <= hits[q] <= total[q] and total[q] > 0:
                found[f"items_{q + 1}"] = float(hits[q] / total[q])
    return found
