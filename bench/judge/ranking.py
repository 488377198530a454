"""Ranking with the rows of a file: metrics and arrays of users. No code of methods runs here."""

from __future__ import annotations

import time

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from bench.backbones.registry import get_backbone
from bench.data import Interactions
from bench.data.numbering import Numbered, number
from bench.engine.deploy import BrokenContract, check_rows
from bench.engine.evaluate import Evaluator, Result, breakdown
from bench.engine.rank import rank
from bench.judge.model import Reading, Submission, Verdict
from bench.judge.reading import size_record
from bench.method.file import OverBudget, Packed
from bench.method.header import Header
from bench.method.size import METADATA
from bench.method.table import Table
from bench.records import schema


class Ranker:
    """Ranks for the runs of one split.

    Args:
        data: the split with its test part.
        device: where scores are computed.
    """

    def __init__(self, data: Interactions, device: str = "cpu") -> None:
        self._data, self._device = data, device
        self._numbered: dict[str, Numbered] = {}
        self._evaluators: dict[tuple[str, str], Evaluator] = {}

    def __call__(self, handed: Submission, found: Reading) -> Verdict:
        """Rank with the rows of a file."""
        spec, device = handed.spec, self._device
        assert spec.training is not None
        self._check(handed, found)
        how, refit = spec.training["numbering"], spec.training["refit"]
        numbered = self._number(how)
        data = numbered.data
        kind = get_backbone(spec.backbone.name)
        config = kind.Config.model_validate(spec.backbone.config)
        assert spec.dim is not None
        backbone = kind(data.refit() if refit else data, spec.dim, config)
        if handed.weights:
            backbone.load_state_dict(safetensors.torch.load(handed.weights))
        backbone = backbone.to(device).eval()
        rows, began = found.rows.to(device), time.perf_counter()
        test = rank(backbone, rows, self._evaluator(how, "test"))
        # Retrained on the validation part, nothing is held out there.
        valid = None if refit else rank(backbone, rows, self._evaluator(how, "valid"))
        seconds = time.perf_counter() - began
        parameters = sum(one.numel() for one in backbone.parameters())
        return Verdict(
            found.size.model_copy(update={"backbone_values": parameters}),
            metrics_record(test, valid, data.items),
            in_file_order(breakdown(test, data), numbered.users),
            seconds,
            found.lookup,
            found.outcome,
        )

    def _check(self, handed: Submission, found: Reading) -> None:
        """Check what the code of the method could have changed in its own process.

        Raises:
            BrokenContract: the rows do not fit.
            OverBudget: the file is larger than its budget.
        """
        spec, size = handed.spec, len(handed.content)
        if spec.budget and spec.budget.accounting == "bytes" and size > spec.budget.cap:
            raise OverBudget(f"the file has {size:,} bytes, its budget {spec.budget.cap:,}")
        if found.size.bytes != size:
            raise BrokenContract(f"the file has {size:,} bytes, and not {found.size.bytes:,}")
        check_rows(found.rows, (self._data.ids, found.rows.shape[-1]))

    def popularity(self, handed: Submission) -> Verdict:
        """Rank items by training interactions: what is reached without any embedding."""
        data, name, dim = self._data, handed.spec.method.name, handed.spec.dim
        assert dim is not None
        began = time.perf_counter()
        counts = torch.from_numpy(data.item_counts())

        def scores(users: Tensor, order: Tensor, out: Tensor) -> Tensor:
            out[:, : len(order)] = counts[order].float()
            return out

        test, valid = (evaluator(data, part)(scores) for part in ("test", "valid"))
        arrays = {"counts": counts.to(torch.int32)}
        header = Header(name, {}, Table(data.users, data.items, dim))
        content = safetensors.torch.save(arrays, {METADATA: header.text()})
        packed = Packed(header, arrays, data.items, len(content), {"counts": "values"})
        return Verdict(
            size_record(packed, data.ids, dim),
            metrics_record(test, valid, data.items),
            breakdown(test, data),
            time.perf_counter() - began,
        )

    def _number(self, how: str) -> Numbered:
        if how not in self._numbered:
            self._numbered[how] = number(self._data, how)  # type: ignore[arg-type]
        return self._numbered[how]

    def _evaluator(self, how: str, part: str) -> Evaluator:
        if (how, part) not in self._evaluators:
            self._evaluators[how, part] = evaluator(self._number(how).data, part, self._device)
        return self._evaluators[how, part]


def evaluator(data: Interactions, part: str, device: str = "cpu") -> Evaluator:
    """Of the part `valid` or `test`; the parts before it are left out of the ranking."""
    if part == "valid":
        return Evaluator(data.valid, [data.train], data.items, device)
    return Evaluator(data.test, [data.train, data.valid], data.items, device)


def metrics_record(test: Result, valid: Result | None, items: int) -> schema.Metrics:
    """Means over users, and the share of the catalogue that stands in anybody's top 20."""
    top = test.top[:, :20]
    coverage = len(np.unique(top[top >= 0])) / items
    return schema.Metrics(
        valid=valid.metrics if valid else None, test=test.metrics | {"coverage@20": coverage}
    )


def in_file_order(per_user: dict[str, np.ndarray], original: np.ndarray) -> dict[str, np.ndarray]:
    """Per-user arrays under the users' original numbers, ascending, so that runs can be paired."""
    users = original[per_user["users"]]
    order = np.argsort(users)
    named = {k: per_user[k][order] for k in ("recall@20", "ndcg@20", "activity", "test_items")}
    return per_user | named | {"users": users[order].astype(per_user["users"].dtype)}
