"""A small board whose workers and driver are killed at random; `kill_board.py` does a large one."""

from __future__ import annotations

import random

import pytest
from support.faults import Board, blocks, suite_text
from support.judge import JudgeHere
from support.kill_board import PLUGIN, compared, disturb, start

from bench.runs.execute import execute

METHODS = ("dims", "cerp")
SEEDS = 2


class Progress:
    """A worker is due as the board begins and after one to three records more, the driver amid it.

    Both wait for what the board has done, never for a clock, so that a fast machine meets them
    too. One worker more is due when the driver has been started again.
    """

    def __init__(self, results, rng, driver_after=3):
        self.results, self.rng, self.driver_after = results, rng, driver_after
        self.next = 0

    def __call__(self):
        records = len(list(self.results.glob("*/*/*/*.json")))
        if self.driver_after and records >= self.driver_after:
            self.driver_after, self.next = 0, records
            return "driver"
        if records >= self.next:
            self.next = records + self.rng.randint(1, 3)
            return "worker"
        return ""


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """The board undisturbed, one run after another in this process."""
    folder = tmp_path_factory.mktemp("peace")
    data = blocks(folder / "blocks")
    board = Board(data, folder / "r", METHODS, SEEDS, refit=True)
    judge = JudgeHere(board.data, board.methods)
    for one in board.planned:
        execute(one.run, board.data, board.methods, board.store, judge)
    return data, board.store.root


def test_runs_killed_at_random_come_to_an_undisturbed_board(peace, tmp_path):
    data, expected = peace
    (tmp_path / "suite.toml").write_text(suite_text(METHODS, SEEDS, refit=True))
    (tmp_path / "often.py").write_text(PLUGIN)
    rng, only = random.Random(0), [word for name in METHODS for word in ("-m", name)]
    done = disturb(
        lambda: start(tmp_path, "r", "-d", str(data), "--plugin", "often.py", *only),
        Progress(tmp_path / "r", rng),
        rng,
    )
    assert (done["status"], done["orphans"]) == (0, 0), (tmp_path / "r.log").read_text()
    assert done["workers_killed"] >= 2
    assert done["drivers_killed"] == done["restarts"] == 1
    assert compared(expected, tmp_path / "r") == {
        "runs": 2 * SEEDS + 1,
        "statuses": ["ok"],
        "lost": 0,
        "added": 0,
        "different": 0,
        "litter": [],
    }
