"""The judge's processes: verdicts as in one process, deaths, and clean ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from support.faults import Board, blocks, children, kill_children, outcome, wait_for
from support.here import run_all_here
from support.judge import JudgeHere

from bench.backbones.mlp import MLP
from bench.budget import Budget
from bench.check.subject import Subject
from bench.data import load
from bench.judge import client
from bench.judge.client import Judges, Seat
from bench.judge.model import JudgeDied, Submission
from bench.method import Table
from bench.method.file import write_file
from bench.method.registry import find_methods
from bench.records.schema import BackboneSpec, DatasetSpec, MethodSpec, Spec
from bench.runs import schedule

METHODS = find_methods()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load(blocks(tmp_path_factory.mktemp("data") / "blocks"))


def handed(data, backbone="mf", refit=False, kind=METHODS["dims"], **knobs) -> Submission:
    weights, settings = b"", {"similarity": "cosine"}
    if backbone == "mlp":
        import safetensors.torch

        settings = {}
        network = MLP(data, 8, MLP.Config())
        network.reset(torch.Generator().manual_seed(1))
        weights = safetensors.torch.save(dict(network.state_dict()))
        settings = MLP.Config().stored()
    scored = BackboneSpec(name=backbone, config=settings)
    table = Table(
        data.users,
        data.items,
        8,
        Budget(6000),
        wide=backbone == "mf",
        backbone=scored.model_dump(),
        counts=torch.from_numpy(data.counts()),
    )
    subject = Subject(kind)
    config = kind.plan(table, kind.Config(**knobs))
    method = subject.settled(subject.given(table, data.train), config)
    spec = Spec(
        dataset=DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint),
        backbone=scored,
        dim=8,
        method=MethodSpec(name=kind.name, revision=1, config=config.record()),
        budget=None,
        training={"numbering": "popularity", "refit": refit},
        seed=0,
    )
    return Submission(spec, write_file(method), weights)


@pytest.mark.parametrize("name", METHODS)
def test_the_file_of_every_method_is_read_and_ranked(name, data, judges):
    with judges.connect() as link:
        verdict = Seat(link)(handed(data, kind=METHODS[name]))
    assert verdict.size.bytes > 0
    assert 0 <= verdict.metrics.test["ndcg@20"] <= 1


@pytest.fixture(scope="module")
def judges(data):
    with Judges(data, [], "cpu", 1) as found:
        yield found


@pytest.mark.parametrize(("backbone", "refit"), [("mf", False), ("mlp", False), ("mf", True)])
def test_verdicts_are_those_of_one_process(backbone, refit, data, judges):
    with judges.connect() as link:
        one = handed(data, backbone, refit)
        there, here = Seat(link)(one), JudgeHere(data, METHODS)(one)
    assert there.size == here.size
    assert there.metrics == here.metrics
    assert (there.metrics.valid is None) == refit
    assert there.size.backbone_values == (
        0 if backbone == "mf" else 11_552
    )  # 544 + 2,112 + 8,320 + 448 + 128
    assert there.per_user.keys() == here.per_user.keys()
    for name, array in there.per_user.items():
        assert np.array_equal(array, here.per_user[name])
    assert set(there.lookup) == {"rows_per_s_1", "rows_per_s_1024"}


def test_two_processes_that_train_have_rankers_of_their_own(data, judges):
    with judges.connect() as one, judges.connect() as other:
        first, second = Seat(one)(handed(data)), Seat(other)(handed(data))
    assert first.metrics == second.metrics


def test_all_processes_end_with_the_one_that_trains(data, judges):
    link = judges.connect()
    Seat(link)(handed(data))
    wait_for(lambda: len(children()) == 3, 20)  # the clean one, the ranker, the reader
    link.close()
    wait_for(lambda: len(children()) == 1, 20)
    link = judges.connect()
    wait_for(lambda: len(children()) == 3, 20)
    link.close()


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_judge_that_was_killed_is_an_error_and_is_started_again(data):
    with Judges(data, [], "cpu", 1) as judges:
        with judges.connect() as link:
            Seat(link)(handed(data))
            killed = kill_children()
            wait_for(lambda: not any(alive(one) for one in killed), 20)
            with pytest.raises(JudgeDied, match="the process that judges files has ended"):
                Seat(link)(handed(data))
        with judges.connect() as link:
            assert Seat(link)(handed(data)).metrics.test
    wait_for(lambda: not children(), 20)


@pytest.mark.parametrize("error", [BrokenPipeError("gone"), RuntimeError("no acknowledgement")])
def test_a_judge_that_ends_while_it_is_connected_is_started_again(error, data, monkeypatch):
    """The RuntimeError is that of macOS, where the receiver has to answer."""
    send, errors = client.send_handle, [error]

    def hand_over(*given):
        if errors:
            raise errors.pop()
        send(*given)

    monkeypatch.setattr(client, "send_handle", hand_over)
    with Judges(data, [], "cpu", 1) as judges, judges.connect() as link:
        assert Seat(link)(handed(data)).metrics.test
    wait_for(lambda: not children(), 20)


SLEEPS = """
import os, time
from pathlib import Path
from bench.method import Method, Rows

class Sleeps(Method):
    name = title = "sleeps"
    budgeted = False
    def build(self): self.stored = Rows(self.table.ids, self.table.dim)
    def reset(self, generator): self.stored.normal(0.1, generator)
    def forward(self, ids):
        if self.table.counts is None: time.sleep(3600)
        return self.stored(ids)
"""


def test_a_method_that_hangs_when_it_is_read_ends_at_the_time_limit(tmp_path):
    plugin = tmp_path / "sleeps.py"
    plugin.write_text(SLEEPS)
    board = Board(blocks(tmp_path / "blocks"), tmp_path / "r", ("sleeps",), 1, (plugin,))
    board.run(workers=1, time_limit=6.0)
    found = {r["method"]["name"]: r for r, _ in outcome(tmp_path / "r").values()}
    assert found["sleeps"]["error"]["message"] == "took longer than 6 s"
    wait_for(lambda: not children(), 20)


def test_files_are_kept_where_that_is_asked_for(tmp_path):
    board = Board(blocks(tmp_path / "blocks"), tmp_path / "r", ("dims",), 1)
    job = replace(board.job(), keep=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "run_all", run_all_here)
        schedule.run_missing(
            board.planned, set(), board.data, board.methods, board.store, job, 1, lambda *_: None
        )
    one = next(one for one in board.planned if one.run.spec.training)
    record = board.store.read(one.run.spec, one.run.spec.id)
    path = board.store.kept(one.run.spec, one.run.spec.id, ".safetensors")
    assert record.file.bytes == path.stat().st_size == record.size.bytes
    assert record.backbone_file is None
    assert not board.store.kept(one.run.spec, one.run.spec.id, ".backbone.safetensors").exists()
