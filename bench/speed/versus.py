"""RecBole's BPR and LightGCN timed with ours: same data, batch, dimension, negatives, threads."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count, islice, pairwise
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
from bench.speed.measure import BASELINE, Effort, renumbered
from bench.speed.probe import Probe, clock, timed

_NAME = "speed"  # RecBole would read its own copy of a data set that it knows by name
_LAYERS = 3
_USERS = 128  # users per block of a ranking, in both programs


def against_recbole(
    data: Interactions,
    methods: Mapping[str, type[Method]],
    dim: int,
    training: Training,
    effort: Effort,
    deadline: float,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[str, Any]:
    """Time training and ranking of BPR and LightGCN in both programs, in turns.

    Rankings are timed in the first and the last round only, and a round has a third of the steps
    for LightGCN, because RecBole's take long. BPR gets a third of the time until the deadline.

    Args:
        data: the split.
        methods: all known methods; the full table is used.
        dim: of the embeddings.
        training: batch size and learning rate are used; the objective is BPR with one negative.
        effort: rounds, and steps of BPR in a round.
        deadline: of `time.monotonic`; rounds that would end later are left out, but for the first.
        tell: told of progress: units done, units in all, what comes next.

    Returns:
        The part `against` of what `--json` prints.

    Raises:
        BenchError: RecBole is not installed.
    """
    settings = training.model_dump() | {"objective": {"name": "bpr", "negatives": 1}, "l2": 0.0}
    models = (
        _Model("BPR", "mf", {}, 0.0, effort.steps, 1 / 3),
        _Model("LightGCN", "lightgcn", {"layers": _LAYERS}, 1e-4, max(2, effort.steps // 3), 1.0),
    )
    full = next(kind for kind in methods.values() if kind.role == BASELINE)
    board = _Board(effort.rounds, len(models), tell)
    rows, left_out = (
        [],
        [
            "rankings were timed in the first and the last round only",
            f"a round has {models[0].steps} steps of BPR and {models[1].steps} of LightGCN",
        ],
    )
    for model in models:
        wanted = Training.model_validate(settings | {"l2": model.l2})
        spec = _spec(data, dim, model.backbone, model.knobs, wanted, full)
        now = time.monotonic()
        until = now + (deadline - now) * model.share
        board.begin(f"RecBole reads the data for {model.name}")
        ours = Probe(spec, renumbered(spec, data), methods)
        with _recbole(data, model.name, dim, wanted) as theirs:
            mine, other, done = _rounds(model, ours, theirs, until, board)
        ours.close()
        if done < effort.rounds:
            left_out.append(f"{model.name}: {done} of {effort.rounds} rounds, for want of time")
        rows.append(_row(model.name, mine, other))
    return {
        "name": "RecBole 1.2.1",
        "about": f"BPR loss, 1 negative, d = {dim}, batch {training.batch:,},"
        f" {torch.get_num_threads()} thread(s), in turns; {effort.rounds} rounds",
        "left_out": left_out,
        "rows": rows,
    }


class _Board:
    """Counts the units of work and tells of them."""

    def __init__(self, rounds: int, models: int, tell: Callable[[int, int, str], None]) -> None:
        self.rounds, self._tell, self._done = rounds, tell, count()
        self._rankings = {0, rounds - 1}
        self._total = models * (1 + 2 * rounds + 2 * self.ranked)

    @property
    def ranked(self) -> int:
        """In how many rounds rankings are timed."""
        return len(self._rankings)

    def ranks(self, turn: int) -> bool:
        """Whether rankings are timed in a round."""
        return turn in self._rankings

    def begin(self, what: str) -> None:
        """Tell what comes next."""
        self._tell(next(self._done), self._total, what)


def _rounds(
    model: _Model, ours: Probe, theirs: _Theirs, until: float, board: _Board
) -> tuple[_Times, _Times, int]:
    """Time both programs in turns; returns ours, theirs and the number of rounds."""
    mine, other, longest = _Times(), _Times(), 0.0
    evaluator = ours.evaluator()
    ours.steps(2)
    theirs.steps(2)
    for turn in range(board.rounds):
        began = time.monotonic()
        if turn and began + longest > until:
            return mine, other, turn
        round_ = f"{model.name}, round {turn + 1} of {board.rounds}"
        board.begin(f"{round_}: our steps")
        mine.add(ours.steps(model.steps), ours.around(), ours.batches)
        board.begin(f"{round_}: RecBole's steps")
        begun, seconds = theirs.steps(model.steps)
        other.add(seconds, begun, theirs.batches)
        if board.ranks(turn):
            board.begin(f"{round_}: our ranking")
            mine.evaluations.append(ours.evaluation(evaluator))
            board.begin(f"{round_}: RecBole's ranking")
            other.evaluations.append(theirs.evaluation())
        longest = max(longest, time.monotonic() - began)
    return mine, other, board.rounds


@dataclass(frozen=True)
class _Model:
    """A model of RecBole, the backbone that equals it, and how much is timed.

    Attributes:
        name: RecBole's.
        backbone: ours.
        knobs: of the backbone.
        l2: weight of the penalty.
        steps: of a round.
        share: of the time that is left until the deadline.
    """

    name: str
    backbone: str
    knobs: dict[str, Any]
    l2: float
    steps: int
    share: float


@dataclass
class _Times:
    """Seconds of an epoch by round, seconds of rankings, and the number of timed steps."""

    epochs: list[float] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)
    steps: int = 0

    def add(self, steps: list[float], around: float, batches: int) -> None:
        """Add a round: seconds of its steps, of the rest of an epoch, and steps per epoch."""
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
        """Seconds until the first step of an epoch, and seconds of each of its first steps."""
        times: list[float] = []

        def some() -> Iterator[Any]:
            times.append(clock(self._trainer.device))
            for batch in islice(self._train, count + 1):
                times.append(clock(self._trainer.device))
                yield batch

        # RecBole's own loop, cut short: it asks for a batch after it has learned the last one.
        self._trainer._train_epoch(some(), self._epoch)
        self._epoch += 1
        seconds = [later - earlier for earlier, later in pairwise(times)]
        return seconds[0], seconds[1:]

    def evaluation(self) -> float:
        """Seconds of RecBole's full ranking of the test part."""
        return timed(
            lambda: self._trainer.evaluate(self._test, load_best_model=False), self._trainer.device
        )


@contextmanager
def _recbole(data: Interactions, model: str, dim: int, training: Training) -> Iterator[_Theirs]:
    """RecBole with our split as its benchmark files, in a temporary folder."""
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
    """Change folder and command line: RecBole logs into the one and reads the other."""
    before, arguments = Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = arguments[:1]
    try:
        yield
    finally:
        sys.argv = arguments
        os.chdir(before)
