"""Magnitude pruning: PEP and CERP without their thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from bench.methods.cerp import CERP
from bench.methods.pep import PEP
from torch import Tensor

from bench.method import SCALES, USERS, WIDTHS, Phase, Progress, Pruned

_OFF = -200.0  # sigmoid is 0 in float32: nothing is subtracted or pruned


class _NoThresholds(Pruned):
    """A search that trains densely for its epochs; the cut keeps the largest magnitudes."""

    def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
        super().begin(phase, progress, lr)
        self.thresholds.data.fill_(_OFF)

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        yield {"params": [self.stored.weight], "lr": lr}

    def entries(self, index: Tensor) -> Tensor:
        return self.stored(index) if self.searching else super().entries(index)


class Magnitude(_NoThresholds, PEP):
    """Train the full table, keep its largest entries, go on training under the mask.

    The common recipe (Han et al., NeurIPS 2015), and the control that learned pruning has to beat
    at the same bytes.
    """

    name = "magnitude"
    title = "Magnitude pruning"
    paper = "Han et al., NeurIPS 2015"
    role = "control"
    paper_title = "Learning both Weights and Connections for Efficient Neural Networks"
    year = 2015
    url = "https://arxiv.org/abs/1506.02626"
    space: ClassVar = {"kept_user_share": USERS, "width_factor": WIDTHS, "scale": SCALES}
    phases = (
        Phase("dense", until_budget=True),
        Phase("tune", rewind=False, fresh_optimizer=True),
    )


class PEPMagnitude(_NoThresholds, PEP):
    """PEP with a mask of magnitudes: what its thresholds add. Retrained from the initial values."""

    name = "pep-magnitude"
    title = "PEP, magnitudes"
    role = "ablation"
    space: ClassVar = {"kept_user_share": USERS, "width_factor": WIDTHS, "scale": SCALES}


class CERPMagnitude(_NoThresholds, CERP):
    """CERP with a mask of magnitudes: what its thresholds add."""

    name = "cerp-magnitude"
    title = "CERP, magnitudes"
    role = "ablation"
    space: ClassVar = {knob: one for knob, one in CERP.space.items() if knob != "threshold_start"}
