"""`bench studies`: settings that differ, and validation metrics alone."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from bench.cli import app

QUICK = ["--suite", "smoke", "-m", "dims", "--set", "training.epochs=2"]


def study(results, *settings):
    args = ["leaderboard", *QUICK, "--results", str(results), "--reports", str(results / ".r")]
    changes = [part for one in settings for part in ("--set", one)]
    assert CliRunner().invoke(app, [*args, *changes]).exit_code == 0


@pytest.mark.usefixtures("runs_here")
def test_table_shows_what_differs_and_validation_data_only(tmp_path):
    study(tmp_path, "training.lr=0.02")
    result = CliRunner().invoke(app, ["studies", str(tmp_path)])
    assert result.exit_code != 0  # one run compares with nothing
    study(tmp_path, "training.lr=0.03", "training.objective.temperature=0.2")
    result = CliRunner().invoke(app, ["studies", str(tmp_path)])
    assert result.exit_code == 0, result.output
    above, header, _, *rows = (line for line in result.stdout.splitlines()[2:] if line)
    assert "batch 2048" in above and "lr" not in above
    cells = [cell.strip() for cell in header.strip("|").split("|")]
    assert cells == ["lr", "temperature", "epochs run", "valid NDCG@20", "valid Recall@20"]
    values = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert sorted(row[:3] for row in values) == [["0.02", "0.15", "2"], ["0.03", "0.2", "2"]]
    assert values[0][3] >= values[1][3]
    assert "test" not in result.stdout


def test_a_folder_that_is_not_there(tmp_path):
    result = CliRunner().invoke(app, ["studies", str(tmp_path / "none")])
    assert "no such results folder" in str(result.exception)
