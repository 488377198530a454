"""What the command line does, as functions: `import bench`, then `bench.run("dims", "10%")`.

PyTorch, pandas and matplotlib are imported by the functions that need them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.runs.request import Plan, Request, existing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.board import Board
    from bench.records.schema import Record
    from bench.records.store import Store
    from bench.runs.execute import Report
    from bench.runs.plan import Planned

RESULTS = Path("results/local")
"""Where records go unless another folder is named."""

_Names = Sequence[str]


def run(
    method: str,
    budget: str | None = None,
    *,
    dataset: Path | str | None = None,
    seed: int = 0,
    backbone: str | None = None,
    settings: Mapping[str, Any] | None = None,
    plugins: Sequence[Path | str] = (),
    results: Path | str = RESULTS,
    device: str = "cpu",
    threads: int = 1,
    again: bool = False,
    **options: Any,
) -> Record:
    """Train one method under one budget, unless there is a record of it; its file is kept.

    The run has processes of its own, so a script must call this below `if __name__ ==
    "__main__":`.

    Args:
        method: its name.
        budget: a share (`5%`), values (`128k`) or bytes (`256KB`); None: that of the suite.
        dataset: a name, or a file or folder of your own; None: MovieLens 100k.
        seed: of the run.
        backbone: name of the backbone; None: that of the suite.
        settings: of training or method, such as `{"training.lr": 0.003, "cerp.gamma": 0}`.
        plugins: Python files with methods of your own.
        results: folder for the record.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: of the processor.
        again: run it even if there is a record.
        **options: `suite`, `accounting`, `refit`, `tuned`, `bits`, `data_dir` of `Request`, and
            `form`.

    Returns:
        The record; its `metrics.test` has the test metrics, `size` the size.

    Raises:
        BenchError: no such method, data set or setting, or no size fits the budget.
    """
    _at_least("seed", seed, 0)
    form = options.pop("form", "tuned")
    asked = _request(dataset, settings, plugins, options)
    one = single(asked, method, budget, seed=seed, backbone=backbone, form=form, results=results)
    if again or not one.done:
        return one.execute(device, threads)
    return one.record


@dataclass(frozen=True)
class Single:
    """One run that is planned.

    Attributes:
        asked: what was asked for.
        plan: the run with its data and methods.
        planned: the run.
        store: where its record goes.
    """

    asked: Request
    plan: Plan
    planned: Planned
    store: Store

    @property
    def done(self) -> bool:
        """Whether there is a record that a report can use."""
        from bench.runs.schedule import finished

        return bool(finished([self.planned], self.store, retry_failed=True))

    @property
    def path(self) -> Path:
        """Where its record is or will be."""
        from bench.runs.schedule import record_path

        return record_path(self.store, self.planned.run)

    @property
    def record(self) -> Record:
        """Its record."""
        from bench.records.scan import read_record

        return read_record(self.store.root, self.path)

    def execute(
        self, device: str = "cpu", threads: int = 1, report: Report = lambda entry: None
    ) -> Record:
        """Train, rank and write the record, in processes of its own, even if there is one.

        Args:
            device: where to train.
            threads: of the processor.
            report: told of each epoch.

        Raises:
            BenchError: the folder cannot be written.
        """
        from bench.engine.devices import check_device
        from bench.runs.schedule import run_missing

        check_device(device)
        _at_least("threads", threads, 1)

        def listen(kind: str, content: dict[str, Any]) -> None:
            if kind == "epoch":
                report(content)

        plan, job = self.plan, self.asked.job(self.store.root, device, threads, 1, keep=True)
        job = replace(job, again=True)  # the caller has decided that it is to be run
        run_missing([self.planned], set(), plan.data, plan.methods, self.store, job, 1, listen)
        return self.record


def single(
    asked: Request,
    method: str,
    budget: str | None = None,
    *,
    seed: int = 0,
    backbone: str | None = None,
    form: str = "tuned",
    results: Path | str = RESULTS,
) -> Single:
    """Plan one run.

    Raises:
        BenchError: it is no run or several, or no size fits the budget.
    """
    from bench.records.store import Store

    chosen = asked.resolved(
        methods=(method,),
        budgets=(budget,) if budget else (),
        backbones=(backbone,) if backbone else (),
        forms=(form,),
    )
    plan = asked.plan(chosen, seeds=(seed,))
    wanted = [one for one in plan.runs if one.run.spec.method.name == method]
    if len(wanted) > 1:
        raise BenchError(
            f"that is {len(wanted)} runs; name one --budget and one --backbone, or use leaderboard"
        )
    [one] = wanted
    if (one.run.spec.method.form or "tuned") != form:
        raise BenchError(f"{method} has no published form; leave out --form")
    if one.infeasible:
        raise BenchError(f"{method} under {one.run.label}: infeasible: {one.infeasible}")
    return Single(asked, plan, one, Store(Path(results)))


def leaderboard(
    dataset: Path | str | None = None,
    *,
    methods: _Names = (),
    budgets: _Names = (),
    backbones: _Names = (),
    seeds: int | None = None,
    settings: Mapping[str, Any] | None = None,
    plugins: Sequence[Path | str] = (),
    results: Path | str = RESULTS,
    device: str = "cpu",
    threads: int = 1,
    workers: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Run what is missing of a board, and return its leaderboards.

    Runs are spread over processes, so a script must call it below `if __name__ == "__main__":`.

    Args:
        dataset: as of `run`.
        methods: only these; empty: those of the suite.
        budgets: likewise.
        backbones: likewise.
        seeds: how many, 0, 1 and so on; None: as many as the suite has.
        settings: as of `run`.
        plugins: as of `run`.
        results: as of `run`.
        device: as of `run`.
        threads: of the processor, for each run.
        workers: runs at the same time; None: one for each core.
        **options: as of `run`.

    Returns:
        One row for each method and budget, as `ranks` makes them.

    Raises:
        BenchError: no such method, data set or setting, or the folder cannot be written.
    """
    from bench.engine.devices import check_device
    from bench.records.store import Store
    from bench.runs import schedule

    check_device(device)
    for name, value in (("seeds", seeds), ("threads", threads), ("workers", workers)):
        _at_least(name, value, 1)
    for name, names in (("methods", methods), ("budgets", budgets), ("backbones", backbones)):
        if isinstance(names, str):
            raise BenchError(f"{name} = {names!r} is one text; write [{names!r}]")
    asked = _request(dataset, settings, plugins, options)
    chosen = asked.resolved(
        methods=tuple(methods), budgets=tuple(budgets), backbones=tuple(backbones), seeds=seeds
    )
    plan, store = asked.plan(chosen), Store(Path(results))
    many = workers or schedule.default_workers(device)
    job = asked.job(Path(results), device, threads, many)
    done = schedule.finished(plan.runs, store)
    schedule.run_missing(
        plan.runs, done, plan.data, plan.methods, store, job, many, lambda kind, content: None
    )
    return ranks(results, plan.data.split)


def ranks(results: Path | str = RESULTS, split: str | None = None) -> pd.DataFrame:
    """Return the leaderboards of a results folder, as the CSV files of a report have them.

    Args:
        results: folder with the records.
        split: only the boards of this split; None: all.

    Returns:
        One row for each method and budget: `budget`, `rank`, `title`, means such as `ndcg@20`,
        their `_sd`, `_low`, `_high` and `_n`, and the comparisons with the best and the control.

    Raises:
        BenchError: no such folder, or nothing of that split in it.
    """
    import io

    import pandas as pd

    from bench.report.tables import board_csv

    texts = [board_csv(board) for board in _boards(results) if split in (None, board.split)]
    if not texts:
        raise BenchError(f"{results} has no runs" + (f" of {split}" if split else ""))
    return pd.concat([pd.read_csv(io.StringIO(text)) for text in texts], ignore_index=True)


def load_results(results: Path | str = RESULTS) -> pd.DataFrame:
    """Return one row for each run in a folder, of any status, with a column for each quantity.

    Raises:
        BenchError: no such folder, or files in it and no record among them.
    """
    from bench.board import load

    found = load(existing(Path(results)))
    if found.unused:
        raise BenchError(f"{results}: {found.unused}")
    return found.frame


def plot(
    results: Path | str = RESULTS,
    dataset: str | None = None,
    *,
    backbone: str | None = None,
    size: str = "bytes",
) -> Figure:
    """Draw NDCG@20 and Recall@20 against size, as in a report.

    Args:
        results: folder with the records.
        dataset: name or split; None if the folder has one board only.
        backbone: name; None if there is one only.
        size: `bytes` or `values`.

    Returns:
        A matplotlib figure, which a notebook shows; `figure.savefig("board.svg")` writes it.

    Raises:
        BenchError: no board, or several, fit what is named.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from bench.report.figures.layout import settings
    from bench.report.figures.sizes import sizes
    from bench.report.figures.style import styles

    if size not in ("bytes", "values"):
        raise BenchError(f"size {size!r}: write 'bytes' or 'values'")
    boards = [
        board
        for board in _boards(results)
        if dataset in (None, board.dataset, board.split) and backbone in (None, board.backbone)
    ]
    if len(boards) != 1:
        every = ", ".join(f"{board.dataset} {board.backbone}" for board in _boards(results))
        raise BenchError(
            f"{results}: {len(boards)} boards fit what is named, one is needed; name data set and"
            f" backbone of one of these: {every or 'none'}"
        )
    [board] = boards
    with settings():
        looks = styles((entry.row.method, entry.row.role) for _, entry in board.rows())
        figure = sizes(board, looks, size).figure
        FigureCanvasAgg(figure)
    return figure


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise BenchError(f"{name} = {value}; it has to be {least} or more")


def _request(
    dataset: Path | str | None,
    settings: Mapping[str, Any] | None,
    plugins: Sequence[Path | str],
    options: Mapping[str, Any],
) -> Request:
    dataset, files = None if dataset is None else str(dataset), tuple(map(Path, plugins))
    words = [f"{key}={_written(value)}" for key, value in (settings or {}).items()]
    try:
        return Request(dataset=dataset, settings=words, plugins=files, **options)
    except TypeError as error:
        raise BenchError(f"unknown option: {error}") from None


def _written(value: object) -> str:
    """A value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _boards(results: Path | str) -> Sequence[Board]:
    from bench.board import load

    return load(existing(Path(results))).boards
