"""Makes a results folder of invented but realistic runs, to build boards from.

`python -m tests.make_records FOLDER` writes about 500: two data sets, two backbones, eleven
methods, four budgets, three seeds, with infeasible and failed runs and a missing seed.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.records.schema import PROTOCOL

CUTOFFS = (5, 10, 20, 50)


@dataclass(frozen=True)
class Toy:
    """An invented data set."""

    name: str
    users: int
    items: int
    level: float
    note: str = ""


@dataclass(frozen=True)
class Knob:
    """How good an invented method is: share of the ceiling at a fraction of the full size."""

    title: str
    role: str
    half: float  # fraction of the full size at which half of the gap is closed
    smallest: float = 0.0  # fraction below which it is infeasible
    indices: float = 0.0  # share of its bytes that are not values
    kind: str = "indices"
    epochs: int = 30
    search: int = 0


TOYS = (
    Toy("ml-100k", 943, 1682, 0.42),
    Toy(
        "gowalla", 2000, 3000, 0.15, note="A sample of the check-ins; numbers are not the paper's."
    ),
)
SIX = (
    Toy("amazon-book-kgat", 60, 80, 0.2),
    Toy("amazon-cds", 70, 90, 0.2, note="Another cut; numbers are not comparable."),
    Toy("gowalla", 80, 90, 0.3),
    Toy("ml-1m", 60, 50, 0.4),
    Toy("yelp-nfa", 50, 70, 0.25),
    Toy("yelp2020-sample", 80, 70, 0.25, note="A sample; numbers are not the paper's."),
)
"""Small data sets to stand side by side."""
METHODS = {
    "full": Knob("Full table", "ceiling", 0.0),
    "dims": Knob("Fewer dimensions", "control", 0.20, smallest=0.016),
    "hashing": Knob("Hashing", "method", 0.30),
    "qr": Knob("QR", "method", 0.16),
    "ttrec": Knob("TT-Rec", "method", 0.15),
    "pep": Knob("PEP", "method", 0.10, indices=0.25, kind="mask", search=10),
    "cerp": Knob("CERP", "method", 0.05, indices=0.2, kind="mask", search=10),
    "dhe": Knob("DHE", "method", 0.22, smallest=0.03),
    "int8": Knob("Int8", "method", 0.02, smallest=0.25, indices=0.9, kind="codes"),
    "magnitude": Knob("Magnitude pruning", "control", 0.11, indices=0.25, kind="mask"),
    "cerp_one": Knob("CERP, one table", "ablation", 0.09, indices=0.2, kind="mask", search=10),
}
BUDGETS = (0.01, 0.05, 0.10, 0.25)


def write(folder: Path, record: dict[str, Any], users: dict[str, np.ndarray] | None = None) -> Path:
    """Write a record, with its id made from its spec, where it belongs; return its path."""
    spec = record["spec"]
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    record = {**record, "id": hashlib.sha256(text.encode()).hexdigest()[:12]}
    place = folder / spec["dataset"]["split"] / spec["backbone"]["name"] / spec["method"]["name"]
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{record['id']}.json"
    path.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    if users is not None:
        np.savez(path.with_suffix(".npz"), **users)
    return path


def make(
    toy: Toy,
    backbone: str,
    method: str,
    fraction: float | None,
    seed: int,
    *,
    status: str = "ok",
    training: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    revision: int = 1,
    shift: float = 0.0,
) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
    """Return an invented record and its per-user arrays.

    Args:
        toy: the data set.
        backbone: name of the backbone; "none" for popularity.
        method: a key of `METHODS`, or "popularity".
        fraction: budget as a share of the full size; None for a run without a budget.
        seed: the seed of the run.
        status: what became of it.
        training: overrides of the training settings.
        config: overrides of the method's settings.
        revision: the method's revision.
        shift: added to every user's chance of a hit, to move a row.
    """
    knob = METHODS.get(method, Knob("Popularity", "reference", 0.0))
    full_values = (toy.users + toy.items) * 64
    cap = None if fraction is None else int(full_values * 4 * fraction)
    spec = {
        "schema": 1,
        "protocol": PROTOCOL,
        "dataset": {
            "name": toy.name,
            "split": f"{toy.name}-v10-s0",
            "fingerprint": hashlib.sha256(toy.name.encode()).hexdigest(),
        },
        "backbone": {"name": backbone, "config": {"layers": 3} if backbone == "lightgcn" else {}},
        "dim": 64,
        "method": {"name": method, "revision": revision, "config": config or {}},
        "budget": None if cap is None else {"cap": cap, "accounting": "bytes"},
        "training": {
            "objective": {"name": "bpr"},
            "optimizer": "adam",
            "lr": 0.005,
            "l2": 1e-4,
            "batch": 1024,
            "epochs": 30,
            "search_epochs": 10,
            "patience": 5,
            "eval_every": 1,
            "init_std": 0.1,
            "refit": False,
            **(training or {}),
        },
        "seed": seed,
    }
    record: dict[str, Any] = {
        "schema": 1,
        "status": status,
        "error": None,
        "spec": spec,
        "method": {
            "name": method,
            "title": knob.title,
            "paper": f"{knob.title} et al., 2023" if knob.role == "method" else "",
            "role": knob.role,
        },
        "budget": None
        if cap is None
        else {
            "label": f"{fraction:.0%}",
            "fraction": fraction,
            "cap": cap,
            "accounting": "bytes",
        },
        "data": {
            "users": toy.users,
            "items": toy.items,
            "train": toy.users * 40,
            "valid": toy.users * 4,
            "test": toy.users * 10,
            "repairs": {},
            "note": toy.note,
            "temporal": False,
        },
        "size": None,
        "metrics": None,
        "phases": [],
        "history": [],
        "timings": None,
        "peak_memory_bytes": 400_000_000,
        "command": f"bench run --dataset {toy.name} --backbone {backbone} --method {method}"
        + (f" --budget {fraction:.0%}" if fraction else "")
        + f" --seed {seed}",
        "env": {
            "python": "3.11.2",
            "torch": "2.13.0",
            "numpy": "1.26.4",
            "platform": "Linux-x86_64",
            "device": "cpu",
            "threads": 1,
            "commit": "0000000",
            "bench": "0.1.0",
        },
        "started": "2026-11-23T12:00:00Z",
        "finished": "2026-11-23T12:01:00Z",
    }
    if status == "infeasible":
        minimum = int(knob.smallest * full_values * 4)
        record["error"] = {
            "type": "Infeasible",
            "message": f"needs at least {minimum:,} bytes",
            "traceback": "",
            "minimum": minimum,
        }
    if status in ("failed", "interrupted"):
        record["error"] = {
            "type": "ValueError" if status == "failed" else "KeyboardInterrupt",
            "message": "loss is not finite" if status == "failed" else "",
            "traceback": "Traceback (most recent call last): ...",
        }
    if status != "ok":
        return record, None
    return _fill(record, toy, knob, cap, full_values, seed, shift)


def exact(
    toy: Toy, method: str, fraction: float | None, ndcg: float, *, seed: int = 0, valid: float = 0.2
) -> dict[str, Any]:
    """Return an invented record under mf with a given NDCG@20; write it without users' metrics."""
    record, _ = make(toy, "mf", method, fraction, seed)
    record["metrics"]["test"]["ndcg@20"] = ndcg
    record["metrics"]["valid"]["ndcg@20"] = valid
    return record


def _fill(
    record: dict[str, Any],
    toy: Toy,
    knob: Knob,
    cap: int | None,
    full_values: int,
    seed: int,
    shift: float,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    # The same users are easy or hard for every method; that is what pairing is good for.
    spec = record["spec"]
    common = np.random.default_rng(abs(hash_of(toy.name)))
    ease = common.beta(1.2, 1.2 / toy.level * (1 - toy.level), toy.users)
    own = np.random.default_rng(abs(hash_of(record["spec"])))
    total = full_values * 4 if cap is None else cap
    if knob.role == "reference":
        arrays: dict[str, Any] = {
            "counts": {
                "dtype": "I32",
                "shape": [toy.items],
                "bytes": toy.items * 4,
                "kind": "values",
            }
        }
        values, factor = toy.items, 0.45
    else:
        payload = total - 120
        other = int(payload * knob.indices)
        values = (payload - other) // 4
        arrays = {
            "table": {"dtype": "F32", "shape": [values], "bytes": values * 4, "kind": "values"}
        }
        if other:
            arrays["where"] = {"dtype": "U8", "shape": [other], "bytes": other, "kind": knob.kind}
        share = total / (full_values * 4)
        factor = 1.0 if cap is None else 0.25 + 0.75 * share / (share + knob.half)
    if spec["backbone"]["name"] == "lightgcn":
        factor *= 1.08
    factor *= 1 + own.normal(0, 0.008)
    hits = np.clip(ease * factor + shift + own.normal(0, 0.05, toy.users), 0, 1)
    recall = (np.round(hits * 20) / 20).astype(np.float32)
    ndcg = np.clip(recall * 0.8 + own.normal(0, 0.02, toy.users), 0, 1).astype(np.float32)
    activity = (np.arange(toy.users) * 5 // toy.users).astype(np.uint8)
    item_total = np.array([200, 500, 1000, 2500, 5800], dtype=np.int64) * toy.users // 1000
    chance = float(recall.mean()) * np.array([0.1, 0.25, 0.5, 0.9, 1.25])
    users = {
        "users": np.arange(toy.users, dtype=np.int32),
        "recall@20": recall,
        "ndcg@20": ndcg,
        "activity": activity,
        "item_hits": np.minimum(item_total, (item_total * chance).astype(np.int64)),
        "item_total": item_total,
    }
    stored = sum(array["bytes"] for array in arrays.values()) + 100
    record["size"] = {
        "values": int(values),
        "bytes": int(stored),
        "file_bytes": int(stored),
        "backbone_values": 0,
        "full_values": full_values,
        "full_bytes": full_values * 4,
        "arrays": arrays,
    }
    r20, n20 = float(recall.mean(dtype=np.float64)), float(ndcg.mean(dtype=np.float64))
    test = {f"recall@{k}": min(1.0, r20 * (k / 20) ** 0.6) for k in CUTOFFS}
    test |= {f"ndcg@{k}": min(1.0, n20 * (k / 20) ** 0.15) for k in CUTOFFS}
    test["recall@20"], test["ndcg@20"] = r20, n20
    valid = {key: value * 0.9 for key, value in test.items()}
    record["metrics"] = {"valid": valid, "test": {**test, "coverage@20": min(1.0, 0.1 + r20)}}
    _train(record, knob, n20 * 0.9, own)
    return record, users


def _train(record: dict[str, Any], knob: Knob, level: float, own: np.random.Generator) -> None:
    history, phases = [], []
    plan = [("search", knob.search, 0.9)] if knob.search else []
    for name, epochs, height in [*plan, ("train", knob.epochs if level else 0, 1.0)]:
        for epoch in range(1, epochs + 1):
            risen = 1 - math.exp(-epoch / 7)
            history.append(
                {
                    "phase": name,
                    "epoch": epoch,
                    "loss": 0.69 * math.exp(-epoch / 9) + 0.05,
                    "seconds": 1.0,
                    "ndcg@20": level * height * risen * (1 + own.normal(0, 0.01)),
                    "recall@20": level * height * risen * 1.2,
                }
            )
        phases.append(
            {
                "name": name,
                "epochs": epochs,
                "best_epoch": None if name == "search" else epochs,
                "seconds": float(epochs),
                "stopped": "budget" if name == "search" else "epochs",
            }
        )
    record["history"], record["phases"] = history, phases
    seconds = 30.0 * (1 + knob.indices) * float(own.uniform(0.9, 1.1))
    record["timings"] = {
        "train_s": seconds,
        "evaluate_s": 1.0,
        "total_s": seconds + 1.0,
        "parallel": record["method"]["name"] == "ttrec",
    }
    if record["method"]["role"] != "reference":
        record["lookup"] = {"rows_per_s_1": 40000.0 / (1 + knob.indices), "rows_per_s_1024": 3e6}


def hash_of(value: object) -> int:
    """Return a stable integer for any JSON value."""
    return int(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12], 16)


def make_many(
    folder: Path,
    *,
    toys: tuple[Toy, ...] = TOYS,
    backbones: tuple[str, ...] = ("mf", "lightgcn"),
    methods: tuple[str, ...] = tuple(METHODS),
    budgets: tuple[float, ...] = BUDGETS,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> int:
    """Write a whole set of runs with the usual blemishes; return how many."""
    count = 0
    for toy in toys:
        write(folder, *make(toy, "none", "popularity", None, 0))
        count += 1
        for backbone in backbones:
            for method in methods:
                knob = METHODS[method]
                for fraction in (None,) if knob.role == "ceiling" else budgets:
                    for seed in seeds:
                        status = "ok"
                        if fraction is not None and fraction < knob.smallest:
                            status = "infeasible"
                        elif (method, fraction, seed, backbone) == ("ttrec", 0.05, 2, "mf"):
                            status = "failed"
                        elif (method, fraction, seed, backbone) == ("qr", 0.25, 1, "lightgcn"):
                            continue
                        write(folder, *make(toy, backbone, method, fraction, seed, status=status))
                        count += 1
    return count


if __name__ == "__main__":
    sys.stdout.write(f"{make_many(Path(sys.argv[1]))} records\n")
