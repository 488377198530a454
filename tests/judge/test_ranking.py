"""Ranking: what a reader hands over is checked, and per-user arrays keep the users' own numbers."""

from __future__ import annotations

import threading
from dataclasses import fields, replace
from multiprocessing import Pipe

import numpy as np
import pytest
import safetensors.torch
import torch

from bench.backbones.lightgcn import LightGCN
from bench.backbones.mlp import MLP
from bench.data.numbering import number
from bench.engine.deploy import BrokenContract
from bench.engine.rank import rank
from bench.judge.model import Reading, Submission, Verdict, receive_verdict, send_verdict
from bench.judge.ranking import Ranker, evaluator, in_file_order
from bench.method.file import OverBudget
from bench.records.schema import BackboneSpec, BudgetSpec, DatasetSpec, MethodSpec, Size, Spec

DIM = 8
CONTENT = bytes(100)


def submission(data, backbone="mf", cap=None, accounting="bytes", refit=False) -> Submission:
    spec = Spec(
        dataset=DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint),
        backbone=BackboneSpec(name=backbone, config={}),
        dim=DIM,
        method=MethodSpec(name="full", revision=1, config={}),
        budget=BudgetSpec(cap=cap, accounting=accounting) if cap else None,
        training={"numbering": "popularity", "refit": refit},
        seed=0,
    )
    return Submission(spec, CONTENT)


def reading(data) -> Reading:
    size = Size(
        values=1,
        bytes=len(CONTENT),
        file_bytes=len(CONTENT),
        full_values=1,
        full_bytes=4,
        arrays={},
    )
    rows = torch.randn(data.ids, DIM, generator=torch.Generator().manual_seed(0))
    return Reading(rows, size, {}, "")


def test_a_file_of_more_bytes_than_its_budget_is_refused(tiny):
    """The reader has checked it too, but runs the code of the method."""
    ranker, found = Ranker(tiny), reading(tiny)
    with pytest.raises(OverBudget, match="the file has 100 bytes, its budget 99"):
        ranker(submission(tiny, cap=99), found)
    assert ranker(submission(tiny, cap=100), found).metrics.test
    assert ranker(submission(tiny, cap=99, accounting="values"), found).metrics.test


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows: rows[:-1], r"\(\d+, 8\), not torch.float32 \(\d+, 8\)"),
        (lambda rows: torch.cat((rows, rows)), r"\(\d+, 8\), not torch.float32 \(\d+, 8\)"),
        (lambda rows: rows.index_fill(0, torch.tensor([3]), torch.nan), "not finite"),
    ],
    ids=["too few", "too many", "not a number"],
)
def test_rows_that_do_not_fit_are_refused(spoil, said, tiny):
    found = reading(tiny)
    with pytest.raises(BrokenContract, match=said):
        Ranker(tiny)(
            submission(tiny), Reading(spoil(found.rows), found.size, found.lookup, found.outcome)
        )


@pytest.mark.parametrize("refit", [False, True])
def test_the_graph_of_a_refit_has_the_validation_part_too(refit, tiny):
    found = reading(tiny)
    verdict = Ranker(tiny)(submission(tiny, "lightgcn", refit=refit), found)
    data = number(tiny, "popularity").data
    metrics = {}
    for merged in (False, True):
        backbone = LightGCN(data.refit() if merged else data, DIM, LightGCN.Config())
        metrics[merged] = rank(backbone, found.rows, evaluator(data, "test")).metrics
    assert metrics[True] != metrics[False]
    assert metrics[refit].items() <= verdict.metrics.test.items()


def test_a_network_ranks_with_the_statistics_of_its_training(tiny):
    """Not with those of the pairs that happen to be scored together."""
    backbone, generator = MLP(tiny, DIM, MLP.Config()), torch.Generator().manual_seed(1)
    backbone.reset(generator)
    for norm in backbone.norms:
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.1, 3, generator=generator)
    weights = {name: one.clone() for name, one in backbone.state_dict().items()}
    one, found = submission(tiny, "mlp"), reading(tiny)
    verdict = Ranker(tiny)(Submission(one.spec, CONTENT, safetensors.torch.save(weights)), found)
    data, metrics = number(tiny, "popularity").data, {}
    for trained in (False, True):  # last, as it moves the statistics
        backbone.train(trained)
        metrics[trained] = rank(backbone, found.rows, evaluator(data, "test")).metrics
    assert metrics[True] != metrics[False]
    assert metrics[False].items() <= verdict.metrics.test.items()


def test_a_verdict_arrives_as_it_was_sent(tiny):
    sent = replace(Ranker(tiny)(submission(tiny), reading(tiny)), seconds=1.5, outcome="3 rows")
    sent = replace(sent, lookup={"rows_per_s_1": 2.5})
    near, far = Pipe()
    with near, far:
        sender = threading.Thread(target=send_verdict, args=(near, sent))  # more than a pipe holds
        sender.start()
        found = receive_verdict(far)
        sender.join()
    for field in fields(Verdict):
        if field.name != "per_user":
            assert getattr(found, field.name) == getattr(sent, field.name), field.name
    assert found.per_user.keys() == sent.per_user.keys()
    for name, array in sent.per_user.items():
        assert np.array_equal(found.per_user[name], array)


def test_arrays_of_users_are_put_under_their_original_numbers():
    original = np.array([4, 0, 3, 1, 2])  # of each user as numbered in the run
    per_user = {
        "users": np.array([0, 1, 3, 4], np.int32),
        "test_items": np.array([40, 10, 11, 12], np.int32),
        "recall@20": np.array([0.4, 0.0, 0.1, 0.2], np.float32),
        "ndcg@20": np.array([0.8, 0.5, 0.6, 0.7], np.float32),
        "activity": np.array([4, 0, 1, 2], np.uint8),
        "item_hits": np.array([5, 4, 3, 2, 1]),
        "item_total": np.array([9, 8, 7, 6, 5]),
    }
    found = in_file_order(per_user, original)
    assert {name: array.tolist() for name, array in found.items()} == {
        "users": [0, 1, 2, 4],
        "test_items": [10, 11, 12, 40],
        "recall@20": pytest.approx([0.0, 0.1, 0.2, 0.4]),
        "ndcg@20": pytest.approx([0.5, 0.6, 0.7, 0.8]),
        "activity": [0, 1, 2, 4],
        "item_hits": [5, 4, 3, 2, 1],  # by group of items
        "item_total": [9, 8, 7, 6, 5],
    }
    assert all(found[name].dtype == array.dtype for name, array in per_user.items())
