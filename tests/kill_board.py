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
from pathlib import Path

import psutil
from fault_helpers import children, litter, outcome

BUDGETS = ("10%", "20%", "30%", "40%")
METHODS = ("dims", "hashing", "qr", "pep", "cerp")
# Checkpoints several times in runs of a second or two, so that kills meet them in every state.
PLUGIN = """
from bench import train
from bench.method import Method, Rows
train._SAVE_EVERY = 0.1

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


def command(folder: Path, results: str) -> list[str]:
    words = f"leaderboard --suite suite.toml --results {results} --reports p-{results} --workers 2"
    return [sys.executable, "-m", "bench", *words.split(), "--plugin", str(folder / "often.py")]


def start(folder: Path, results: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(folder, results),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{results}.log").open("ab"),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def disturb(folder: Path, rng: random.Random, every: float, driver_every: float) -> dict:
    """Runs the board while workers die every few seconds, and now and then all at once."""
    workers, drivers, restarts, seen = 0, 0, 0, {}
    began = time.monotonic()
    driver = start(folder, "disturbed")
    next_worker, next_driver = every, driver_every
    while True:
        time.sleep(0.05)
        now = time.monotonic() - began
        if driver.poll() is not None:
            if driver.returncode >= 0:
                break
            restarts += 1
            driver = start(folder, "disturbed")
            continue
        alive = children(driver.pid)
        seen |= {process.pid: process for process in alive}
        if now > next_driver:
            driver.kill()
            driver.wait()
            drivers += 1
            next_driver = now + driver_every * rng.uniform(0.5, 1.5)
        elif now > next_worker and alive:
            try:
                rng.choice(alive).kill()
                workers += 1
            except psutil.Error:
                pass
            next_worker = now + every * rng.uniform(0.3, 1.7)
    _, left = psutil.wait_procs(list(seen.values()), timeout=15)
    return {
        "status": driver.returncode,
        "seconds": round(time.monotonic() - began, 1),
        "workers_killed": workers,
        "drivers_killed": drivers,
        "processes_seen": len(seen),
        "orphans": len(left),
    }


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
    began = time.monotonic()
    status = start(folder, "peace").wait()
    figures: dict = {"peace_status": status, "peace_seconds": round(time.monotonic() - began, 1)}
    figures |= disturb(folder, random.Random(given.seed), given.every, given.driver_every)
    one, other = outcome(folder / "peace"), outcome(folder / "disturbed")
    figures["runs"] = len(one)
    figures["statuses"] = sorted({record["status"] for record, _ in other.values()})
    figures["lost"] = len(one.keys() - other.keys())
    figures["added"] = len(other.keys() - one.keys())
    figures["different"] = sum(one[run] != other[run] for run in one.keys() & other.keys())
    figures["litter"] = litter(folder / "disturbed")
    print(json.dumps(figures, indent=1))  # noqa: T201
    bad = figures["lost"] or figures["added"] or figures["different"] or figures["litter"]
    return int(bool(bad or status or figures["status"] or figures["orphans"]))


if __name__ == "__main__":
    sys.exit(main())
