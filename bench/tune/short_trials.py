"""How well trials with a share of the passes predict those with all passes.

`python -m bench.tune.short_trials results/tune/SPLIT/BACKBONE FIGURE.png` reads the logs of a
tuning, prints Spearman's rank correlation, and draws the pairs of scores. A study runs only its
best short trials with all passes, and its start. So the correlation is that among the best, which
is lower than among all trials.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from bench.tune.log import read_log
from bench.tune.study import FULL, SHORT

Pairs = Sequence[tuple[float, float]]
"""Validation scores of trials: with a share of the passes, and with all."""

_FEWEST = 3  # pairs of a study; two always agree or disagree


def pairs(logs: Iterable[Path]) -> dict[Path, Pairs]:
    """Return the pairs of each study that has at least three."""
    found: dict[Path, Pairs] = {}
    for log in logs:
        outcomes = read_log(log)
        scores: dict[int, dict[str, float]] = defaultdict(dict)
        for (number, stage), one in outcomes.items():
            if one["value"] is not None and "of" not in one:
                scores[number][stage] = one["value"]
        both = [(one[SHORT], one[FULL]) for one in scores.values() if {SHORT, FULL} <= one.keys()]
        if len(both) >= _FEWEST:
            found[log] = both
    return found


def correlation(studies: Mapping[Path, Pairs]) -> float:
    """Return the mean over studies of Spearman's rank correlation.

    A study whose scores are all equal on one side says nothing and is left out.
    """
    from scipy.stats import spearmanr

    found = [
        float(spearmanr(*zip(*both, strict=True)).statistic)
        for both in studies.values()
        if all(len(set(side)) > 1 for side in zip(*both, strict=True))
    ]
    return fmean(found)


def agreement(studies: Mapping[Path, Pairs]) -> float:
    """Return the share of studies whose best short trial is the best with all passes."""
    best = [max(both) == max(both, key=lambda pair: pair[1]) for both in studies.values()]
    return fmean(best)


def draw(studies: Mapping[Path, Pairs], path: Path) -> None:
    """Draw the pairs of all studies, a colour for each method."""
    import seaborn as sns
    from matplotlib.figure import Figure

    from bench.report.figures.layout import WIDTH

    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axis = figure.subplots()
    names = sorted({log.parent.name for log in studies})
    for name, colour in zip(names, sns.color_palette("husl", len(names)), strict=True):
        mine = [pair for log, both in studies.items() if log.parent.name == name for pair in both]
        short, full = zip(*mine, strict=True)
        axis.scatter(short, full, s=14, color=colour, label=name)
    axis.set_xlabel("Validation NDCG@20, a third of the passes")
    axis.set_ylabel("Validation NDCG@20, all passes")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    sns.despine(ax=axis)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the figures of a folder of logs, and draw them."""
    given = argparse.ArgumentParser("python -m bench.tune.short_trials", description=__doc__)
    given.add_argument("folder", type=Path, help="logs: results/tune/SPLIT/BACKBONE")
    given.add_argument("figure", type=Path, help="file of the figure")
    options = given.parse_args()
    studies = pairs(sorted(options.folder.glob("*/*.jsonl")))
    if not studies:
        given.exit(2, f"error: {options.folder}: no study with {_FEWEST} trials of both lengths\n")
    trials = sum(map(len, studies.values()))
    sys.stdout.write(
        f"{len(studies)} studies, {trials} trials with both stages: mean rank correlation"
        f" {correlation(studies):.2f}; the best short trial is the best in"
        f" {100 * agreement(studies):.0f} % of the studies\n"
    )
    draw(studies, options.figure)


if __name__ == "__main__":
    main()
