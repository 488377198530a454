"""CERP with one part taken away, to see what the part does."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.cerp import CERP

from bench.method import Phase


class CERPPlain(CERP):
    """CERP without its regulariser."""

    name = "cerp-noreg"
    title = "CERP, no regulariser"
    role = "ablation"
    space: ClassVar = {knob: one for knob, one in CERP.space.items() if knob != "gamma"}

    class Config(CERP.Config):
        """As CERP, with a weight of 0."""

        gamma: float = 0.0


class CERPSearched(CERP):
    """CERP without retraining: the weights of the search, cut to the budget, are deployed."""

    name = "cerp-noretrain"
    title = "CERP, no retraining"
    role = "ablation"
    phases = (Phase("search", until_budget=True),)


class CERPKept(CERP):
    """CERP that goes on from the searched weights instead of rewinding to the initial ones."""

    name = "cerp-norewind"
    title = "CERP, no rewinding"
    role = "ablation"
    phases = (Phase("search", until_budget=True), Phase("tune", rewind=False))
