"""What short trials say of whole ones, from logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.tune.log import append
from bench.tune.short_trials import agreement, correlation, draw, pairs
from bench.tune.study import FULL, SHORT


def log(path: Path, short: list[float | None], full: dict[int, float]) -> Path:
    for number, value in enumerate(short):
        append(path, {}, {"number": number, "stage": SHORT, "value": value})
    for number, value in full.items():
        append(path, {}, {"number": number, "stage": FULL, "value": value})
    return path


def test_ranks_of_trials_with_both_stages(tmp_path: Path) -> None:
    same = log(tmp_path / "a" / "1.jsonl", [0.1, 0.2, 0.3, 0.9], {0: 0.5, 1: 0.6, 2: 0.7})
    turned = log(tmp_path / "b" / "2.jsonl", [0.1, 0.2, 0.3, None], {0: 0.9, 1: 0.6, 2: 0.1})
    few = log(tmp_path / "b" / "3.jsonl", [0.1, 0.2, 0.3], {0: 0.9, 1: 0.6})
    studies = pairs([same, turned, few])
    assert studies == {
        same: [(0.1, 0.5), (0.2, 0.6), (0.3, 0.7)],
        turned: [(0.1, 0.9), (0.2, 0.6), (0.3, 0.1)],
    }
    assert correlation({same: studies[same]}) == pytest.approx(1)
    assert correlation({turned: studies[turned]}) == pytest.approx(-1)
    assert correlation(studies) == pytest.approx(0)
    assert agreement(studies) == 0.5
    draw(studies, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000
