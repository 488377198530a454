"""`bench thresholds`: what moves the thresholds of learned pruning."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from bench.cli import app
from bench.errors import SpecError

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
    assert "dims prunes by no thresholds" in str(result.exception)
