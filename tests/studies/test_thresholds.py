"""`bench thresholds`: what moves the thresholds of learned pruning."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BenchError, SpecError
from bench.method import Progress, Table
from bench.method.registry import get_method
from bench.studies.threshold_figure import draw
from bench.studies.thresholds import look

QUICK = ["--suite", "smoke", "--set", "training.search_epochs=4", "--set", "dim=8"]


def test_decay_moves_thresholds_and_the_loss_does_not():
    result = CliRunner().invoke(app, ["thresholds", "-m", "pep", "-b", "30%", "--json", *QUICK])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    moved, still = ([row for row in rows if row["decay"] is decay] for decay in (True, False))
    assert moved[-1]["threshold"] > 5 * moved[0]["threshold"]
    assert moved[-1]["kept"] < 0.9 < still[-1]["kept"]
    assert moved[0]["overlap"] > 0.98  # as long as weights are alike, it is magnitude pruning
    assert moved[-1]["overlap"] > 1.5 * moved[-1]["kept"]  # chance is `kept`
    assert still[-1]["threshold"] < 2 * still[0]["threshold"]


def test_a_method_without_thresholds_is_refused():
    result = CliRunner().invoke(app, ["thresholds", "-m", "dims", *QUICK])
    assert isinstance(result.exception, SpecError)
    assert "dims does not prune by thresholds" in str(result.exception)


def test_looks_and_figure_by_hand(tmp_path):
    method = get_method("pep")(Table(2, 2, 3), get_method("pep").Config(kept=4))
    method.reset(torch.Generator().manual_seed(0))  # begin() looks at the initial weights
    method.begin(method.phases[0], Progress(0, 1000, 0, 10), 1e-6)
    with torch.no_grad():
        method.stored.weight.copy_(
            torch.tensor([[0.9, 0.8, 0], [0.1, 0.2, 0.1], [0.7, 0.1, 0.9], [0, 0, 0.6]])
        )
        method.thresholds.fill_(0.0)  # sigmoid(0) = .5
    found = look(method, 1, (torch.tensor([0, 0, 1]), torch.tensor([2, 3, 2])))
    assert found.kept == pytest.approx(5 / 12)
    assert (found.overlap, found.spread) == (1, 1)
    assert (found.empty_users, found.empty_items) == (0.5, 0)
    assert found.common == pytest.approx(1 / 3)  # of the three pairs, one has a column in common
    draw({True: [found], False: [found]}, "Title", tmp_path / "there" / "figure.png")
    assert (tmp_path / "there" / "figure.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(BenchError, match=r"figure\.what"):
        draw({True: [found]}, "Title", tmp_path / "figure.what")
