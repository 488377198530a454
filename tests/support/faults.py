"""Small boards to break: data, plans, runs in processes of their own, and what is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from bench.data import Interactions, load
from bench.method.registry import find_methods
from bench.records.store import Store
from bench.runs import schedule
from bench.runs.plan import Planned, plan
from bench.runs.pool import Job
from bench.runs.schedule import finished, run_missing
from bench.runs.suite import validated

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TIMES = {"timings", "started", "finished", "peak_memory_bytes", "lookup", "env", "command"}
QUICK = {"lr": 0.05, "batch": 128, "epochs": 4, "search_epochs": 3, "patience": 4}


def blocks(folder: Path) -> Path:
    """Two blocks of users and items that never mix, in LightGCN's text format."""
    folder.mkdir(parents=True)
    train, test = [], []
    for user in range(60):
        items = [item for item in range(40) if item % 2 == user % 2]
        held = items[user % 20], items[(user + 7) % 20]
        train.append(" ".join(map(str, [user, *(i for i in items if i not in held)])))
        test.append(" ".join(map(str, [user, *held])))
    (folder / "train.txt").write_text("\n".join(train) + "\n")
    (folder / "test.txt").write_text("\n".join(test) + "\n")
    return folder


def suite_text(methods: tuple[str, ...], seeds: int, **training: Any) -> str:
    """The suite of a `Board` as TOML."""
    settings = "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in (QUICK | training).items()
    )
    return (
        f'methods = {json.dumps(methods)}\nbudgets = ["40%"]\ndim = 8\nseeds = {seeds}\n'
        f"[training]\n{settings}"
    )


class Board:
    """A plan on the blocks, which can be carried out again and again."""

    def __init__(
        self,
        data: Path,
        results: Path,
        methods: tuple[str, ...] = ("dims",),
        seeds: int = 2,
        plugins: tuple[Path, ...] = (),
        **training: Any,
    ) -> None:
        self.path, self.store, self.plugins = data, Store(results), plugins
        self.data: Interactions = load(data)
        self.methods = find_methods(plugins)
        suite = validated(tomllib.loads(suite_text(methods, seeds, **training)), "test")
        self.planned: list[Planned] = plan(suite, self.data, self.methods, "bench run")
        self.told: list[tuple[str, dict[str, Any]]] = []

    def job(self) -> Job:
        return Job(
            str(self.store.root),
            tuple(map(str, self.plugins)),
            "cpu",
            1,
            True,
        )

    def run(
        self,
        workers: int = 2,
        listener: Callable[[str, dict[str, Any]], None] | None = None,
        retry_failed: bool = False,
        **options: Any,
    ) -> None:
        def hear(kind: str, content: dict[str, Any]) -> None:
            self.told.append((kind, content))
            if listener:
                listener(kind, content)

        done = finished(self.planned, self.store, retry_failed)
        run_missing(
            self.planned, done, self.data, self.methods, self.store, self.job(), workers, hear,
            **options,
        )  # fmt: skip

    def run_here(self) -> None:
        """Carries out what is missing in this process, undisturbed."""
        from support.here import run_all_here

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schedule, "run_all", run_all_here)
            self.run()

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [content for said, content in self.told if said == kind]


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what may differ between equal runs."""
    kept = {key: value for key, value in record.items() if key not in TIMES}
    for key in ("phases", "history"):
        kept[key] = [{k: v for k, v in e.items() if k != "seconds"} for e in record[key]]
    return kept


def outcome(results: Path) -> dict[str, Any]:
    """All records and per-user arrays, less times."""
    found: dict[str, Any] = {}
    for path in sorted(results.rglob("*.json")):
        if ".work" in path.parts:
            continue
        record = json.loads(path.read_text())
        arrays = {}
        if path.with_suffix(".npz").exists():
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
                arrays = {name: stored[name].tolist() for name in stored.files}
        found[record["id"]] = timeless(record), arrays
    return found


def litter(results: Path) -> list[str]:
    """Files that are neither a record nor its arrays."""
    names = []
    for path in results.rglob("*"):
        if path.is_file():
            whole = path.suffix in (".json", ".npz") and path.with_suffix(".json").exists()
            whole |= path.name.startswith("users-")  # what the runs of a split share
            if ".work" in path.parts or path.name.startswith(".") or not whole:
                names.append(str(path.relative_to(results)))
    return sorted(names)


def in_child(work: Callable[[], object]) -> int:
    """Exit status of a forked process that does something; negative for a signal."""
    torch.set_num_threads(1)  # threads would not survive the fork, and work would wait for them
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    """As `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def children(of: int | None = None) -> list[psutil.Process]:
    """Living processes of workers and of the judge below one, which are forked from another."""
    below = psutil.Process(of or os.getpid()).children(recursive=True)
    forks = [p for p in below if "multiprocessing.forkserver" in " ".join(_words(p))]
    numbers = {p.pid for p in forks}
    return [p for p in forks if p.ppid() in numbers]


def kill_children() -> list[psutil.Process]:
    """Kill these processes and return them; one may end because another has."""
    found = children()
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return found


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What something returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
