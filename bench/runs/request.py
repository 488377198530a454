"""What a command is asked to run: a suite with changes, on a data set, as a list of runs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bench.budget import Bits
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.data import Interactions
    from bench.method import Method
    from bench.runs.plan import Planned
    from bench.runs.pool import Job
    from bench.runs.suite import Suite


@dataclass(frozen=True)
class Request:
    """The options that say what is run.

    Attributes:
        suite: name or file; None for that of the data set, else the default.
        dataset: card name, file or folder; None for that of the suite.
        settings: `key=value` changes of the suite.
        refit, accounting, tuned: as the options of that name.
        plugins: method files.
        data_dir: where to look for data before downloading.
        bits: precisions of stored values.
    """

    suite: str | None = None
    dataset: str | None = None
    settings: Sequence[str] = ()
    refit: bool = False
    accounting: str | None = None
    tuned: str | None = None
    plugins: Sequence[Path] = ()
    data_dir: Path | None = None
    bits: Sequence[int] = ()

    def resolved(self, **changes: Any) -> Suite:
        """The suite with all changes; of `changes`, the fields that are not None or empty.

        The methods of plugins join those that the suite names, unless methods are asked for.
        """
        from bench.method.registry import plugin_methods
        from bench.runs.settings import override
        from bench.runs.suite import distinct, find_suite

        settings = list(self.settings)
        if self.refit:
            settings.append("training.refit=true")
        if self.accounting:
            settings.append(f"accounting={self.accounting}")
        if wrong := sorted(set(self.bits) - set(get_args(Bits))):
            known = ", ".join(str(one) for one in reversed(get_args(Bits)))
            raise BenchError(f"--bits {wrong[0]}: no such precision; there are {known}")
        if self.bits:
            settings.append(f"bits={list(self.bits)}")
        if self.tuned:
            settings.append(f"tuned={self.tuned}")
        chosen = override(find_suite(self._suite()), settings)
        if chosen.methods and not any(one.startswith("methods=") for one in settings):
            named = dict.fromkeys((*chosen.methods, *plugin_methods(self.plugins)))
            changes["methods"] = changes.get("methods") or tuple(named)
        changes = {key: value for key, value in changes.items() if value}
        for key, value in changes.items():
            if isinstance(value, tuple):
                changes[key] = tuple(dict.fromkeys(value))  # what is named twice runs once
                if strange := [one for one in value if not isinstance(one, str)]:
                    raise BenchError(f"{key}: {strange[0]!r} is not text; write it in quotes")
                if "" in map(str.strip, value):
                    raise BenchError(f"one of the {key} is empty; is a variable not set?")
        if "budgets" in changes:
            changes["budgets"] = distinct(changes["budgets"])
        return chosen.model_copy(update=changes)

    def _suite(self) -> str:
        """Name or file of the suite."""
        from bench.runs.suite import list_suites

        if self.suite is not None:
            return self.suite
        if self.dataset is None:
            return "ml-100k"
        return self.dataset if self.dataset in list_suites() else "default"

    def _added(self, chosen: Suite) -> list[str]:
        """The files of tuned settings that `command` does not lead to."""
        from bench.runs.settings import override
        from bench.runs.suite import find_suite
        from bench.runs.tuned import split_id

        known = override(find_suite(self._suite()), self.settings).tuned
        places = {split_id(one)[0] for one in known}
        return [one for one in chosen.tuned if split_id(one)[0] not in places]

    def source(self, chosen: Suite) -> str:
        """The data set that is meant."""
        found = self.dataset or chosen.dataset
        if found is None:
            raise BenchError("this suite names no data set; give one with --dataset")
        return found

    def load(self, chosen: Suite) -> Interactions:
        """The data set of a suite."""
        from bench.data import load

        return load(self.source(chosen), data_dir=self.data_dir)

    def plan(self, chosen: Suite, seeds: Sequence[int] | None = None) -> Plan:
        """Load the data and the methods, and plan the runs of a suite, or these seeds of it."""
        from bench.method.registry import find_methods
        from bench.runs.plan import plan

        data = self.load(chosen)
        methods = find_methods(self.plugins)
        runs = plan(chosen, data, methods, self.command(chosen), seeds, self._added(chosen))
        return Plan(chosen, data, methods, runs)

    def command(self, chosen: Suite) -> str:
        """What the user types to repeat a run, less method, budget, seed and tuned settings."""
        words = ["bench", "run"]
        words += ["--suite", self.suite] if self.suite else []
        words += ["--dataset", self.source(chosen)]
        words += [part for setting in self.settings for part in ("--set", setting)]
        words += ["--refit"] if self.refit else []
        words += ["--accounting", self.accounting] if self.accounting else []
        words += [part for path in self.plugins for part in ("--plugin", str(path))]
        return shlex.join(words)

    def job(
        self, results: Path, device: str, threads: int, workers: int, keep: bool = False
    ) -> Job:
        """What worker processes are told."""
        from bench.runs.pool import Job

        return Job(
            results=str(results),
            plugins=tuple(str(path) for path in self.plugins),
            device=device,
            threads=threads,
            parallel=workers > 1,
            keep=keep,
        )


@dataclass(frozen=True)
class Plan:
    """A suite on its data, with all known methods and the runs that it comes to."""

    suite: Suite
    data: Interactions
    methods: dict[str, type[Method]]
    runs: list[Planned]


def existing(results: Path) -> Path:
    """A results folder that has to be there already."""
    if not results.is_dir():
        raise BenchError(f"{results}: no such results folder; `bench leaderboard` makes one")
    return results


def about(data: Interactions) -> str:
    """One line on the data that a command runs on."""
    note = f"  ({data.note})" if data.note else ""
    repairs = "".join(f"; {count:,} {_repaired(what)}" for what, count in data.repairs.items())
    return (
        f"{data.title}{note}: {data.users:,} users, {data.items:,} items, {data.train.nnz:,} train,"
        f" {data.valid.nnz:,} valid, {data.test.nnz:,} test; split {data.split}{repairs}"
    )


def _repaired(what: str) -> str:
    """A repair as words after its count: `train: pairs dropped` is "pairs dropped in train"."""
    part, colon, said = what.partition(": ")
    if not colon or part not in ("all", "train", "valid", "test"):
        return what
    return said if part == "all" else f"{said} in {part}"
