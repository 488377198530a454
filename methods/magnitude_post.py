"""Magnitude pruning of a trained table, without training after the cut."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch
from bench.methods.pep import PEP

from bench.method import (
    SCALES,
    USERS,
    WIDTHS,
    Choice,
    Field,
    Phase,
    Pruned,
    Table,
    columns,
    project,
    with_scale,
)

_OFF = -200.0  # sigmoid is 0 in float32: nothing is subtracted


class MagnitudePost(PEP):
    """The entries of largest magnitude of a trained full table; the others are 0.

    What pruning gives without further training; `magnitude` goes on training under the mask.
    """

    name = "magnitude-post"
    title = "Magnitude pruning after training"
    paper = "Han et al., NeurIPS 2015, without retraining"
    family = "post-training"
    paper_title = "Learning both Weights and Connections for Efficient Neural Networks"
    year = 2015
    url = "https://arxiv.org/abs/1506.02626"
    needs: ClassVar = {"teacher"}
    phases = ()
    revision = 2
    space: ClassVar = {
        "kept_user_share": USERS,
        "width_factor": WIDTHS,
        "scale": SCALES,
        "principal": Choice((False, True)),
        "length_power": Choice((0.0, 0.25, 0.5, 1.0)),
    }

    published: ClassVar = {"principal": False}

    class Config(Pruned.Config):
        """Knobs of the rows that are pruned.

        `principal`: rows are turned to principal axes first, so that few entries hold most of a
        row; needed for fewer columns than the table has. `length_power`: see
        `bench.method.factors.project`. `user_lengths`: as of `svd`.
        """

        principal: bool = True
        length_power: float = Field(0.5, ge=0, le=1)
        user_lengths: bool | None = None

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        # A trained table has no more columns than `dim`.
        planned: MagnitudePost.Config = super().plan(replace(table, wide=False), with_scale(config))
        return planned

    def reset(self, generator: torch.Generator) -> None:
        teacher, width = self.table.teacher, columns(self.table, self.config)
        assert teacher is not None
        if self.config.principal or width < self.table.dim:
            power, lengths = self.config.length_power, bool(self.config.user_lengths)
            teacher = project(teacher, self.table.users, width, None, power, lengths)
        with torch.no_grad():
            self.stored.weight.copy_(teacher)
            self.thresholds.fill_(_OFF)
        self.finish(Phase("cut", until_budget=True))
