"""Errors and power of the test of a board: `python -m bench.studies.significance`.

The simulation draws the input of the test for two rows: the difference of their means, the variance
from the users, and the variances of their seeds. The noise of the users is 1 and the unit of the
noise of the seeds. "Before" is the normal test of the same variance, which boards used until
November 2026.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr
from tabulate import tabulate

from bench.board.stats import ALPHA, difference

SEEDS = (3, 5)
RATIOS = (1.0, 10.0**0.5, 10.0)
"""Ratios of the standard deviations of the two rows' seeds: variances in 1, 10, 100."""
NOISES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 100.0)
"""Standard deviations of the first row's seeds; the unit is the noise of the users."""
USERS = 1000


def rejected(
    seeds: int, ratio: float, noise: float, *, shift: float = 0.0, trials: int = 200_000
) -> tuple[float, float]:
    """Return the share of trials in which two rows differ at 5 %, before and now.

    Args:
        seeds: number of seeds of each row.
        ratio: one of `RATIOS`.
        noise: one of `NOISES`.
        shift: true difference, in standard deviations of a run: sqrt(1 + noise^2).
        trials: number of trials.
    """
    generator = np.random.default_rng(0)
    deviations = (noise, noise / ratio)
    truth = np.sqrt(1 + sum(sd**2 for sd in deviations) / seeds)
    observed = generator.normal(shift * np.sqrt(1 + noise**2), truth, trials)
    users = generator.chisquare(USERS - 1, trials) / (USERS - 1)
    parts = [
        (sd**2 * generator.chisquare(seeds - 1, trials) / (seeds - 1) / seeds, seeds - 1)
        for sd in deviations
    ]
    normal = 2 * ndtr(-np.abs(observed) / np.sqrt(users + sum(part for part, _ in parts)))
    _, p = difference(observed, users, USERS - 1, parts)
    return float(np.mean(normal < ALPHA)), float(np.mean(p < ALPHA))


def tables(trials: int = 200_000) -> Iterator[str]:
    """Yield the tables of type-I errors and of power as Markdown."""
    for heading, shift in (("Type-I error at 5 %", 0.0), ("Power at 2 standard deviations", 2.0)):
        rows = []
        for seeds in SEEDS:
            for ratio in RATIOS:
                cells = [rejected(seeds, ratio, n, shift=shift, trials=trials) for n in NOISES]
                for name, place in (("before", 0), ("now", 1)):
                    rates = [f"{cell[place]:.3f}".removeprefix("0") for cell in cells]
                    rows.append([str(seeds), f"{ratio**2:.0f}", name, *rates])
        heads = ["Seeds", "Ratio of variances", "", *(f"{noise:g}" for noise in NOISES)]
        table = tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True)
        yield f"{heading}, by the noise of the seeds:\n\n{table}\n"


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables()))
