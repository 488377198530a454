"""Post-training quantisation: the rows of a trained table in few bits a value."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.svd import SVD

from bench.method import Bits, Choice, Scale, Table


class PTQ(SVD):
    """A trained full table, rounded; with fewer columns where the budget does not hold all.

    Three bits a value cost less accuracy than the columns that they save (see
    docs/lab/post-training.md), so more bits are used only where all columns fit in more. Below
    that, `svd` reduces the columns. Columns are rotated at random before they are rounded. Levels
    are those of `bench.method.storage`: normal up to 4 bits, uniform above; a byte for the length
    of an item; a user's row has length 1.
    """

    name = "ptq"
    title = "PTQ"
    paper = "Max, IRE Trans. Inf. Theory 1960"
    paper_title = "Quantizing for Minimum Distortion"
    year = 1960
    url = "https://doi.org/10.1109/TIT.1960.1057548"
    stores = "one table in few bits, scales of rows"
    space: ClassVar = {
        "bits": Choice((2, 3, 4, 6, 8), coarse=True),
        "scale": Choice(("item", "row")),
        "length_power": Choice((0.0, 0.25, 0.5, 1.0)),
    }

    published: ClassVar = {"bits": 8, "scale": "row"}

    class Config(SVD.Config):
        """As of `svd`. `bits`: of a value; more, where the budget holds all columns in more."""

        bits: Bits | None = 3
        scale: Scale | None = "item"

    @classmethod
    def plan(cls, table: Table, config: Config) -> Config:
        planned = super().plan(table, config)
        for bits in (16, 8, 6, 4, 3, 2):
            if planned.width < table.dim or planned.bits is None or bits <= planned.bits:
                break
            if planned.levels == "normal" and bits in (8, 6):  # uniform levels only
                continue
            finer = planned.but(bits=bits)
            if cls.file_size(table, finer).within(table.cap):
                return finer
        return planned
