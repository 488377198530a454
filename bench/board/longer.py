"""Longer runs: the runs of a row with half as many passes again, and what they gain.

They lie in the folder `longer` of a results folder and stand on no board. They decide whether a row
is marked as still improving: a measured gain is worth more than the shape of a learning curve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from bench.board.stats import LEAST_SEEDS
from bench.records.protocol import untraced
from bench.records.scan import Rejected, Scan, scan
from bench.records.schema import Record, digest

FOLDER = "longer"
FACTOR = 1.5
"""A run is longer if its cap is at least this many times that of the row."""


@dataclass(frozen=True)
class Longer:
    """What more passes bring to a row.

    Attributes:
        epochs: the cap of the longer runs.
        seeds: the seeds that both have.
        gain: the share by which their mean validation NDCG@20 is above that of the row's runs.
    """

    epochs: int
    seeds: tuple[int, ...]
    gain: float


def read(results: Path) -> Scan:
    """Read the longer runs of a results folder; paths of rejected files begin with the folder."""
    found = scan(results / FOLDER)
    reasons = [(one.path, one.reason) for one in found.rejected]
    reasons += [(r.path, why) for r in found.records if (why := untraced(r))]
    rejected = tuple(Rejected(f"{FOLDER}/{path}", reason) for path, reason in sorted(reasons))
    sound = tuple(r for r in found.records if r.status == "ok" and not untraced(r))
    return replace(found, records=sound, rejected=rejected)


def by_row(longer: Iterable[Record]) -> Mapping[str, Sequence[Record]]:
    """Return longer runs by what they share with the runs of a row."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in longer:
        found[shared(record)].append(record)
    return found


def measured(records: Sequence[Record], longer: Mapping[str, Sequence[Record]]) -> Longer | None:
    """Return what more passes bring to the runs of a row.

    Args:
        records: the runs of the row.
        longer: as `by_row` returns them.

    Returns:
        The comparison with the least of the longer caps that has three seeds; None without one.
    """
    before = {record.spec.seed: record for record in records}
    cap = epochs(records[0])
    by_cap: dict[int, list[tuple[float, float, int]]] = defaultdict(list)
    for record in longer.get(shared(records[0]), ()):
        passes, same = epochs(record), before.get(record.spec.seed)
        if same is None or not cap or passes < FACTOR * cap:
            continue
        if record.selection is not None and same.selection:
            by_cap[passes].append((record.selection, same.selection, record.spec.seed))
    for passes, pairs in sorted(by_cap.items()):
        if len(pairs) >= LEAST_SEEDS:
            after, base, seeds = zip(*sorted(pairs, key=lambda pair: pair[2]), strict=True)
            return Longer(passes, seeds, fmean(after) / fmean(base) - 1)
    return None


def epochs(record: Record) -> int:
    """Return the cap of passes of a run; 0 for one that is not trained."""
    return int((record.spec.training or {}).get("epochs", 0))


def shared(record: Record) -> str:
    """Return the hash of a spec without its seed and its caps of passes."""
    spec = record.spec.model_dump(mode="json", by_alias=True, exclude={"seed"})
    for part in ("training", "teacher"):
        if spec.get(part):
            spec[part].pop("epochs", None)
    return digest(spec)
