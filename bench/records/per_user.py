"""Per-user test metrics beside a run record: reading and checking them against the record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.records.schema import Record

_TOLERANCE = 2e-6  # float32 per user against a mean taken in float64


@dataclass(frozen=True)
class PerUser:
    """What one run did for each test user.

    Attributes:
        users: hash of the user ids, to tell whether two runs can be paired.
        ndcg: float32 [users], NDCG@20.
        slices: recall of the quintiles by quantity key; missing where a quintile is empty.
    """

    users: str
    ndcg: NDArray[np.float32]
    slices: dict[str, float]


def read(results: Path, record: Record) -> PerUser | None:
    """Return the per-user metrics of a good record; None where there is no such file.

    Raises:
        ValueError: the file is damaged, or contradicts the record.
    """
    path = results / record.path.replace(".json", ".npz")
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        users, recall, ndcg = arrays["users"], arrays["recall@20"], arrays["ndcg@20"]
    except Exception as error:  # zip, zlib and numpy each raise kinds of their own
        raise ValueError(f"per-user metrics {path.name} cannot be read: {error}") from error
    if not (users.ndim == 1 and users.shape == recall.shape == ndcg.shape and len(users)):
        raise ValueError(f"per-user metrics {path.name} have shapes that do not agree")
    assert record.metrics is not None  # checked by the scan for every good record
    for key, scores in (("recall@20", recall), ("ndcg@20", ndcg)):
        mean = float(scores.mean(dtype=np.float64))
        stated = record.metrics.test[key]
        if not abs(mean - stated) <= _TOLERANCE:
            raise ValueError(
                f"metrics.test {key} is {stated:.6f}, but its per-user metrics average {mean:.6f}"
            )
    return PerUser(
        hashlib.sha256(np.ascontiguousarray(users, dtype="<i4").tobytes()).hexdigest()[:12],
        np.asarray(ndcg, dtype=np.float32),
        _slices(arrays, recall),
    )


def _slices(arrays: dict[str, NDArray], recall: NDArray) -> dict[str, float]:
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
