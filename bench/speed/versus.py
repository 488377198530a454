"""RecBole's BPR and LightGCN beside ours: the same data, batch, dimension, negatives, threads."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench.backbones.registry import get_backbone
from bench.data import Interactions, export_recbole
from bench.engine.settings import Training
from bench.method import Method
from bench.recbole.compat import compatible
from bench.records.schema import BackboneSpec, DatasetSpec, MethodSpec
from bench.runs.spec import RunSpec
from bench.speed.measure import Effort, renumbered
from bench.speed.probe import Probe, clock, timed

_NAME = "speed"  # not a name of RecBole's own data sets, whatever the path says
_LAYERS = 3
_USERS = 128  # ranked at a time, here as there


def against_recbole(
    data: Interactions,
    methods: Mapping[str, type[Method]],
    dim: int,
    training: Training,
    effort: Effort,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[str, Any]:
    """Trains and evaluates both programs' BPR and LightGCN in turns.

    Args:
        data: the split.
        methods: all known methods; the full table is taken.
        dim: of the embeddings.
        training: batch size and learning rate are taken; the objective is BPR with one negative.
        effort: steps a round are as many as fit for BPR, a third of them for LightGCN.
        tell: told of progress.

    Returns:
        The part `against` of what `--json` prints.

    Raises:
        BenchError: RecBole is not installed.
    """
    settings = training.model_dump() | {"objective": {"name": "bpr", "negatives": 1}, "l2": 0.0}
    pairs: tuple[tuple[str, str, dict[str, Any], float], ...] = (
        ("BPR", "mf", {}, 0.0),
        ("LightGCN", "lightgcn", {"layers": _LAYERS}, 1e-4),
    )
    rows, rounds = [], effort.rounds
    full = next(kind for kind in methods.values() if kind.role == "ceiling")
    for at, (model, backbone, knobs, l2) in enumerate(pairs):
        wanted = Training.model_validate(settings | {"l2": l2})
        steps = effort.steps if backbone == "mf" else max(2, effort.steps // 3)
        spec = _spec(data, dim, backbone, knobs, wanted, full)
        ours = Probe(spec, renumbered(spec, data), methods)
        tell(at * (rounds + 1), 2 * (rounds + 1), f"RecBole reads the data for {model}")
        with _recbole(data, model, dim, wanted) as theirs:
            mine, other = _Times(), _Times()
            evaluator = ours.evaluator()
            ours.steps(2)
            theirs.steps(2)
            for turn in range(rounds):
                tell(at * (rounds + 1) + turn + 1, 2 * (rounds + 1), f"{model}, ours and RecBole's")
                mine.add(ours.steps(steps), ours.around(), ours.batches)
                begun, seconds = theirs.steps(steps)
                other.add(seconds, begun, theirs.batches)
                if turn % 2 == 0:  # RecBole's takes long
                    mine.evaluations.append(ours.evaluation(evaluator))
                    other.evaluations.append(theirs.evaluation())
        ours.close()
        rows.append(_row(model, mine, other))
    return {
        "name": "RecBole 1.2.1",
        "about": f"BPR loss, 1 negative, d = {dim}, batch {training.batch:,},"
        f" {torch.get_num_threads()} thread(s), in turns",
        "rows": rows,
    }


@dataclass
class _Times:
    """Seconds of epochs by round, of evaluations, and how many steps were timed."""

    epochs: list[float] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)
    steps: int = 0

    def add(self, steps: list[float], around: float, batches: int) -> None:
        """A round: its steps, what an epoch needs beside them, and the steps of an epoch."""
        self.epochs.append(median(steps) * batches + around)
        self.steps += len(steps)


def _row(model: str, ours: _Times, theirs: _Times) -> dict[str, Any]:
    def compared(mine: list[float], other: list[float]) -> dict[str, float]:
        return {
            "ours_s": median(mine),
            "theirs_s": median(other),
            "ratio": median(a / b for a, b in zip(mine, other, strict=True)),
        }

    return {
        "model": model,
        "steps_timed": [ours.steps, theirs.steps],
        "epoch": compared(ours.epochs, theirs.epochs),
        "evaluation": compared(ours.evaluations, theirs.evaluations),
    }


def _spec(
    data: Interactions,
    dim: int,
    backbone: str,
    knobs: dict[str, Any],
    training: Training,
    full: type[Method],
) -> RunSpec:
    config = get_backbone(backbone).Config.model_validate(knobs).stored()
    return RunSpec(
        dataset=DatasetSpec(name=data.name, split=data.split, fingerprint=data.fingerprint),
        backbone=BackboneSpec(name=backbone, config=config),
        dim=dim,
        method=MethodSpec(
            name=full.name, revision=full.revision, config=full.Config().model_dump(mode="json")
        ),
        budget=None,
        training=training,
        seed=0,
    )


class _Theirs:
    """RecBole's trainer on our split."""

    def __init__(self, trainer: Any, train: Any, test: Any) -> None:
        self._trainer, self._train, self._test = trainer, train, test
        self.batches = len(train)
        self._epoch = 0

    def steps(self, count: int) -> tuple[float, list[float]]:
        """Seconds that an epoch takes to begin, and of each of its first steps."""
        times: list[float] = []

        def some() -> Iterator[Any]:
            times.append(clock(self._trainer.device))
            for batch in islice(self._train, count + 1):
                times.append(clock(self._trainer.device))
                yield batch

        # Its own loop, with an end: a batch is asked for when the one before has been learned.
        self._trainer._train_epoch(some(), self._epoch)
        self._epoch += 1
        seconds = [later - earlier for earlier, later in pairwise(times)]
        return seconds[0], seconds[1:]

    def evaluation(self) -> float:
        """Seconds of its full ranking of the test part."""
        return timed(
            lambda: self._trainer.evaluate(self._test, load_best_model=False), self._trainer.device
        )


@contextmanager
def _recbole(data: Interactions, model: str, dim: int, training: Training) -> Iterator[_Theirs]:
    """RecBole with our split as its benchmark files, in a folder that goes again."""
    renamed = replace(data, name=_NAME)
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(), compatible():
        warnings.simplefilter("ignore")  # RecBole's own, of its age
        folder = Path(name)
        export_recbole(renamed, folder / _NAME)
        with _in(folder):
            from recbole.config import Config
            from recbole.data import create_dataset, data_preparation
            from recbole.utils import get_model, get_trainer, init_seed

            settings = {
                "data_path": name,
                "benchmark_filename": ["train", "valid", "test"],
                "load_col": {"inter": ["user_id", "item_id"]},
                "checkpoint_dir": str(folder / "saved"),
                "embedding_size": dim,
                "learning_rate": training.lr,
                "train_batch_size": training.batch,
                "train_neg_sample_args": {
                    "distribution": "uniform",
                    "sample_num": 1,
                    "dynamic": False,
                    "candidate_num": 0,
                },
                "eval_batch_size": _USERS * (data.items + 1),
                "metrics": ["Recall", "NDCG"],
                "topk": [5, 10, 20, 50],
                "valid_metric": "NDCG@20",
                "use_gpu": False,
                "show_progress": False,
            }
            if model == "LightGCN":
                settings |= {"n_layers": _LAYERS, "reg_weight": training.l2}
            config = Config(model=model, dataset=_NAME, config_dict=settings)
            train, _, test = data_preparation(config, create_dataset(config))
            init_seed(0, True)
            made = get_model(model)(config, train.dataset)
            trainer = get_trainer(config["MODEL_TYPE"], model)(config, made)
            trainer.eval_collector.data_collect(train)  # what its `fit` does before the first epoch
            yield _Theirs(trainer, train, test)


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    """RecBole logs into the current folder and reads the command line."""
    before, arguments = Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = arguments[:1]
    try:
        yield
    finally:
        sys.argv = arguments
        os.chdir(before)
