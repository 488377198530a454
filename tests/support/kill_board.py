"""A board whose workers and driver are killed at random, against the same board left in peace.

`kill_board.py FOLDER [--runs 200] [--seed 0]` prints figures as JSON and ends with status 1 if a
record differs, a run is lost, a process is left, or a file that is neither a record nor its arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from support.faults import children, litter, outcome

BUDGETS = ("10%", "20%", "30%", "40%")
METHODS = ("dims", "hashing", "qr", "pep", "cerp")
# Checkpoints several times in runs of a second or two, so that kills meet them in every state.
PLUGIN = """
from bench.engine import checkpoint as saving
from bench.method import Method, Rows
saving.SAVE_EVERY = 0.1

class Unused(Method):
    name = title = "unused"
"""
SUITE = """dataset = "ml-100k"
methods = {methods}
budgets = {budgets}
dim = 16
seeds = {seeds}
[training]
batch = 2048
lr = 0.01
epochs = 2
search_epochs = 1
patience = 3
refit = true
"""


def start(folder: Path, results: str, *options: str) -> subprocess.Popen:
    """The board of `suite.toml`, in a process of its own."""
    words = f"leaderboard --suite suite.toml --results {results} --reports p-{results} --workers 2"
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words.split(), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{results}.log").open("ab"),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


class Timetable:
    """Workers are due every few seconds, now and then the driver; both at random."""

    def __init__(self, rng: random.Random, every: float, driver_every: float) -> None:
        self.rng, self.every, self.driver_every = rng, every, driver_every
        self.began = time.monotonic()
        self.worker, self.driver = every, driver_every

    def __call__(self) -> str:
        """Who is to be killed now: `worker`, `driver` or nobody."""
        now = time.monotonic() - self.began
        if now > self.driver:
            self.driver = now + self.driver_every * self.rng.uniform(0.5, 1.5)
            return "driver"
        if now > self.worker:
            self.worker = now + self.every * self.rng.uniform(0.3, 1.7)
            return "worker"
        return ""


def disturb(
    begin: Callable[[], subprocess.Popen], due: Callable[[], str], rng: random.Random
) -> dict[str, Any]:
    """Runs a board whose processes are killed whenever they are due, until it has ended."""
    killed, restarts, seen, who = {"worker": 0, "driver": 0}, 0, {}, ""
    began = time.monotonic()
    driver = begin()
    while True:
        time.sleep(0.1)
        if driver.poll() is not None:
            if driver.returncode >= 0:
                break
            restarts += 1
            driver = begin()
            continue
        alive = children(driver.pid)
        seen |= {process.pid: process for process in alive}
        who = who or due()  # one that found nobody to kill waits for somebody
        if who == "driver":
            driver.kill()
            driver.wait()
        elif who == "worker" and alive:
            try:
                rng.choice(alive).kill()
            except psutil.Error:
                continue  # it has just ended
        else:
            continue
        killed[who] += 1
        who = ""
    _, left = psutil.wait_procs(list(seen.values()), timeout=15)
    return {
        "status": driver.returncode,
        "seconds": round(time.monotonic() - began, 1),
        "workers_killed": killed["worker"],
        "drivers_killed": killed["driver"],
        "restarts": restarts,
        "processes_seen": len(seen),
        "orphans": len(left),
    }


def compared(peace: Path, disturbed: Path) -> dict[str, Any]:
    """What differs between two folders of records."""
    one, other = outcome(peace), outcome(disturbed)
    return {
        "runs": len(one),
        "statuses": sorted({record["status"] for record, _ in other.values()}),
        "lost": len(one.keys() - other.keys()),
        "added": len(other.keys() - one.keys()),
        "different": sum(one[run] != other[run] for run in one.keys() & other.keys()),
        "litter": litter(disturbed),
    }


def differing(peace: Path, disturbed: Path) -> list[str]:
    """Files of two reports that differ; `index` and `spend` may, which show times."""
    return sorted(
        str(path.relative_to(peace))
        for path in peace.rglob("*")
        if path.is_file()
        and not path.name.startswith(".")
        and path.read_bytes() != (disturbed / path.relative_to(peace)).read_bytes()
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between kills of workers")
    parser.add_argument("--driver-every", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "often.py").write_text(PLUGIN)
    seeds = max(1, given.runs // (len(METHODS) * len(BUDGETS)))
    (folder / "suite.toml").write_text(
        SUITE.format(methods=json.dumps(METHODS), budgets=json.dumps(BUDGETS), seeds=seeds)
    )
    plugin = ("--plugin", str(folder / "often.py"))
    plugin += tuple(word for name in METHODS for word in ("-m", name))  # not the plugin's own
    began, rng = time.monotonic(), random.Random(given.seed)
    status = start(folder, "peace", *plugin).wait()
    figures: dict = {"peace_status": status, "peace_seconds": round(time.monotonic() - began, 1)}
    due = Timetable(rng, given.every, given.driver_every)
    figures |= disturb(lambda: start(folder, "disturbed", *plugin), due, rng)
    figures |= compared(folder / "peace", folder / "disturbed")
    figures["report_differs"] = differing(folder / "p-peace", folder / "p-disturbed")
    print(json.dumps(figures, indent=1))  # noqa: T201
    wrong = ("peace_status", "status", "orphans", "lost", "added", "different", "litter")
    board = any(name.startswith("tables/") for name in figures["report_differs"])
    return int(board or any(figures[name] for name in wrong))


if __name__ == "__main__":
    sys.exit(main())
