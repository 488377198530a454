"""How settings that were tuned on one data set do on another one, on validation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.data import Interactions, load
from bench.errors import BenchError
from bench.method import Method
from bench.methods.full import Full
from bench.runs.request import Request
from bench.runs.settings import for_data, shared_training, with_tuned
from bench.runs.suite import Suite, When
from bench.runs.tuned import Found, Tuned, TunedFile
from bench.tune.defaults import RATE, Losses, knobs
from bench.tune.untuned import Comparison, Measured, log_folder

Cell = tuple[str, str]
"""Method and budget; "" for a method without a budget."""


@dataclass(frozen=True)
class Transfer:
    """The settings of one file on the data set of another.

    Attributes:
        settings: the other settings of each cell that both files have.
        measured: scores of the cells in which they differ.
    """

    settings: Mapping[Cell, Tuned]
    measured: Mapping[Cell, Measured]

    def losses(self) -> dict[Cell, float]:
        """Share of the tuned score that each cell loses; 1 where the settings do not work."""
        lost = {cell: one.loss for cell, one in self.measured.items()}
        return dict.fromkeys(self.settings, 0.0) | {
            cell: 1.0 if loss is None else loss for cell, loss in lost.items()
        }


@dataclass(frozen=True)
class Runner:
    """Runs settings on the data sets that other settings were tuned on.

    Attributes:
        methods: all known methods; ablations take no part.
        results: folder of the logs. Scores of the same runs in logs there are not run again.
        workers: runs at the same time.
        rates: the settings have learning rates.
        suite: whose objective the runs have, as for people who do not tune. Files with this
            objective have learning rates then, others none. None: the runs have the objective that
            was tuned on their data.
        files: data sets that are not known by name; the split tells whose they are.
        data_dir: folder with data sets.
        plugins: method files.
        base: suite that the settings were tuned under; None: the one that fits the data.
    """

    methods: Mapping[str, type[Method]]
    results: Path
    workers: int
    rates: bool = True
    suite: str | None = None
    files: Sequence[str] = ()
    data_dir: Path | None = None
    plugins: Sequence[Path] = ()
    base: str | None = None
    _loaded: dict[str, Interactions] = field(default_factory=dict)

    def __call__(self, tuned: TunedFile, source: TunedFile) -> Transfer:
        """Run the settings of `source` on the data set of `tuned`.

        Without `suite` those that are equal in both are not run: they lose nothing.

        Raises:
            BenchError: `tuned` names no data set, its data are not found, or the suite has another
                backbone or objective than the tuning had.
        """
        own, other = self.cells(tuned), self.cells(source)
        both = {
            cell: other[cell]
            for cell, row in own.items()
            if cell in other and row.origin.valid is not None
        }
        rates = self.rated(source)
        differ = {
            cell for cell, row in both.items() if self.suite or not self._same(own[cell], row)
        }
        if not differ:
            return Transfer(both, {})
        name, data = self._data(tuned)
        under = self.suite or self.base
        asked = Request(under, name, plugins=self.plugins, data_dir=self.data_dir)
        suite = asked.resolved(methods=tuple(dict.fromkeys(method for method, _ in own)))
        # The full table is the teacher of other methods. It keeps its settings beside theirs, or
        # those of `suite`.
        alone = {cell for cell in differ if cell[0] == Full.name}
        known = () if self.suite else tuned.override
        teacher = [one for one in known if one.when.method == (Full.name,)]
        measured: list[Measured] = []
        for cells in (alone, differ - alone):
            if cells:
                given = [self._override(both[cell], rates) for cell in cells]
                one = self._comparison(tuned, suite, data, cells, [*teacher, *given])
                one.run(asked, data, self.results, self.workers)
                measured += one.measured()
        return Transfer(both, {(one.method, one.label): one for one in measured})

    def losses(self, files: Sequence[TunedFile]) -> Losses:
        """What the settings of each file lose on the data set of each other file."""
        return {
            (*cell, source, at): loss
            for at, tuned in enumerate(files)
            for source, settings in enumerate(files)
            if at != source
            for cell, loss in self(tuned, settings).losses().items()
        }

    def rated(self, file: TunedFile) -> bool:
        """Whether learning rates of a file are taken along."""
        if not self.suite:
            return self.rates
        name, data = self._data(file)
        asked = Request(self.suite, name, plugins=self.plugins, data_dir=self.data_dir)
        return self._objective(asked.resolved(), data) == _objective_of(file)

    def _comparison(
        self,
        tuned: TunedFile,
        suite: Suite,
        data: Interactions,
        cells: set[Cell],
        settings: Sequence[Found],
    ) -> Comparison:
        """The runs of some cells, under what all methods share in `tuned` or in `suite`."""
        backbone, bare = suite.backbones[0], with_tuned(suite, "")
        if (known := tuned.study.get("backbone", backbone)) != backbone:
            raise BenchError(
                f"{data.split}: settings were tuned under {known}, but the suite has {backbone};"
                " name theirs (--suite)"
            )
        shared = () if self.suite else tuned.shared(backbone)
        changed = bare.model_copy(update={"override": (*bare.override, *shared, *settings)})
        wanted, found = _objective_of(tuned), self._objective(changed, data)
        if not self.suite and wanted is not None and wanted != found:
            raise BenchError(
                f"{data.split}: settings were tuned under {wanted}, but the suite has {found}"
            )
        where = log_folder(self.results, data, suite)
        return Comparison(tuned, changed, self.methods, data, where, cells)

    def cells(self, file: TunedFile) -> dict[Cell, Tuned]:
        """The settings of methods in their tuned form, without ablations."""
        return {
            (row.method, row.label): row
            for row in file.rows()
            if row.form == "tuned"
            and row.method in self.methods
            and self.methods[row.method].role != "ablation"
        }

    @staticmethod
    def _objective(suite: Suite, data: Interactions) -> dict[str, Any]:
        training = shared_training(for_data(suite, data), suite.backbones[0])
        return training.objective.model_dump()

    def _override(self, row: Tuned, rates: bool) -> Found:
        """All settings, with the defaults of the method for what the row leaves out."""
        settings = knobs(self.methods[row.method], row.settings)
        if rates and RATE in row.settings:
            settings[RATE] = row.settings[RATE]
        when = When(method=(row.method,), budget=(row.label,) if row.label else ())
        return Found(when=when, set=settings)

    def _same(self, one: Tuned, other: Tuned) -> bool:
        kind = self.methods[one.method]
        if self.rates and one.settings.get(RATE) != other.settings.get(RATE):
            return False
        return knobs(kind, one.settings) == knobs(kind, other.settings)

    def _data(self, tuned: TunedFile) -> tuple[str, Interactions]:
        """The data set of tuned settings, with its name or file; a file given by the user first."""
        if not {"dataset", "split", "seeds"} <= tuned.study.keys():
            raise BenchError("the settings name no data set; give files of `bench tune`")
        for name in (*self.files, str(tuned.study["dataset"])):
            if name not in self._loaded:
                self._loaded[name] = load(name, data_dir=self.data_dir)
            if self._loaded[name].split == tuned.study["split"]:
                return name, self._loaded[name]
        raise BenchError(
            f"settings were tuned on {tuned.study['split']}, but the data are"
            f" {self._loaded[name].split}"
        )


def _objective_of(file: TunedFile) -> dict[str, Any] | None:
    """The objective that settings were tuned under; None if the file does not say it."""
    return dict(file.study.get("training", {})).get("objective")
