"""Learned pruning, common to PEP and CERP: search with soft thresholds, cut, retrain.

Search: entries are v -> sign(v) relu(|v| - g sigmoid(s)) with a learned s for each entry. The loss
hardly moves s (its gradient carries sigmoid'(s), 3e-7 at s = -15); what does is Adam's coupled
weight decay, which after Adam's normalisation is a step of one learning rate towards 0, whatever
the decay. The papers' starts (-15 to -150) and rates (1e-3) are thus a countdown of 10^4 to 10^5
steps; a shorter run would prune nothing. Here the start and the rate are derived from the steps
that the run has, so that thresholds pass the scale of the weights in the course of the search; g
is 1 unless weights can outgrow sigmoid(0) = 1/2, which no threshold of the papers can pass; `gain`
sets it to the papers' 1.

The papers' Adam decays all parameters by 1e-5 and clips the gradient at norm 100. Here it decays
thresholds alone, because all methods of a board share an optimiser without decay (`l2`, of the rows
of a batch, stands for it): values of rare ids, which have few gradients, are not drawn to zero as
they are there. Nothing is clipped: the clip does not touch what moves the thresholds, it acts on
the first steps of CERP, where its penalty dominates, and Adam divides by the size of a gradient.

Cut: the search ends once it keeps no more than the budget holds; exactly so many entries are kept,
those of the largest margin |v| - g sigmoid(s), ties by index: of all, or of users and of items
apart, if a share is set.

Retrain: from the initial values, under the mask, without thresholds (as a lottery ticket).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import Infeasible, Unreachable
from bench.method.base import AliasChoices, Choice, Field, Method, Phase, Progress, Rows, Table
from bench.method.narrow import WIDE, Narrow
from bench.method.size import ArrayKind, Arrays, Size, largest
from bench.method.sparse import pack_sparse, sparse_arrays, unpack_sparse
from bench.method.straight_through import KeptRounding, Rounding
from bench.method.user_share import divide

SCALES = Choice((None, "item", "side"), coarse=True)  # what `bench tune` tries where rows are ids
# Likewise; with 1 all entries can be kept.
WIDTHS = Choice((None, 1.0, *WIDE.values[1:]), coarse=True)
DECAY = 1e-5  # of the thresholds; any positive value gives the same steps under Adam
_GIVEN_UP = 8  # columns at most, for rounding and for the header of a small table
_PIECE = 1024  # rows looked at together
_LEAST = 1e-30  # a cut of float32 weights that is as good as none
_CEILING = 0.45  # decay drives s to 0, and sigmoid(0) = 0.5 is never passed; `gain` scales it


def _logit(share: float) -> float:
    return float(torch.logit(torch.tensor(share, dtype=torch.float64)))


def _keep(mask: Tensor, margins: Tensor, count: int) -> None:
    order = torch.sort(margins.flatten(), descending=True, stable=True).indices
    mask.view(-1)[order[:count]] = True


class Pruned(Method):
    """Base of methods whose table(s) are searched by soft thresholds and then cut.

    A subclass gives the shape of the stacked table, the number of entries kept (`plan`), and
    composes rows from `entries`.
    """

    mask: Tensor

    phases = (Phase("search", until_budget=True), Phase("retrain"))

    class Config(Narrow):
        """Knobs of the search.

        `kept`: entries kept. `threshold_start`: thresholds at the start of the search, in units of
        the magnitude that the budget would cut at in the initial table. `kept_user_share`: share
        of the kept entries that belongs to users; none: what the cut leaves them. `gain`: g; none:
        what lets thresholds pass every weight. With a `gain` of its own a search may end above the
        budget; then the run is infeasible.
        """

        kept: int = 0
        threshold_start: float = Field(
            0.01,
            validation_alias=AliasChoices("threshold_start", "first"),
            serialization_alias="first",
        )
        kept_user_share: float | None = Field(
            None,
            gt=0,
            lt=1,
            validation_alias=AliasChoices("kept_user_share", "kept_users"),
            serialization_alias="kept_users",
        )
        gain: float | None = Field(None, gt=0)

    @classmethod
    def shape(cls, table: Table, config: Any) -> tuple[int, int]:
        """Rows and columns of the table that is pruned."""
        raise NotImplementedError

    @classmethod
    def arrays(cls, table: Table, config: Any) -> Arrays:
        rows, columns = cls.shape(table, config)
        return sparse_arrays("stored", rows, columns, config.kept, **cls._filing(table, config))

    @classmethod
    def _filing(cls, table: Table, config: Any) -> dict[str, Any]:
        """What the choice of a code for positions depends on, besides the entries."""
        return {
            "free": table.budget is not None and table.budget.accounting == "values",
            "storage": cls.storage(config, "stored"),
            "header": cls.header(table, config),
            "users": cls.user_rows(table, config).get("stored"),
        }

    @classmethod
    def most_kept(cls, table: Table, config: Any) -> int:
        """The most entries that the budget can store with their positions.

        Raises:
            Infeasible: the budget does not hold a single entry with its position.
        """
        rows, columns = cls.shape(table, config)

        def size(kept: int) -> Size:
            return cls.file_size(table, config.but(kept=kept))

        if size(rows * columns).within(table.cap):
            return rows * columns
        try:
            # Below that the size is the least of forms that grow, hence grows.
            return largest(size, table.cap, 1, rows * columns - 1)
        except Infeasible as error:
            why = "positions of kept entries are stored too"
            raise Infeasible(error.minimum, error.unit, why) from None

    @classmethod
    def with_all_entries(cls, table: Table, config: Any, solve: Callable[[Any], Any]) -> Any:
        """Solve the size knobs; where columns were to leave room for all entries, see that they do.

        With a `width_factor` of 1 some columns are given up if rounding or the header of the file
        takes their place: positions of entries, which then need not be stored, would cost far more.
        """
        best = tried = solve(config)
        if (config.width_factor or 2) > 1:
            return best
        for width in range(best.width - 1, max(0, best.width - _GIVEN_UP), -1):
            if tried.kept == prod(cls.shape(table, tried)):
                return tried
            tried = solve(config.but(width=width))
        return best

    @classmethod
    def user_rows(cls, table: Table, config: Any) -> dict[str, int]:
        return {}  # a scale a side is one for all values, which are packed without their rows

    def rounding(self, array: str, table: Rows) -> Rounding | None:
        storage = self.storage(self.config, array)
        users = self.user_rows(self.table, self.config).get("stored")
        return KeptRounding(storage, users, self._kept) if storage else None

    def _kept(self) -> Tensor:
        return self.mask

    @classmethod
    def kind_of(cls, array: str, dtype: torch.dtype) -> ArrayKind:
        return "values" if array == "stored" else "mask"

    @classmethod
    def pruned_tables(cls, table: Table, config: Any) -> Mapping[str, tuple[int, int]]:
        return {"stored": cls.shape(table, config)}

    def build(self) -> None:
        rows, columns = self.shape(self.table, self.config)
        self.stored = Rows(rows, columns)
        self.thresholds = nn.Parameter(torch.full((rows, columns), -15.0))
        self.register_buffer("mask", torch.ones(rows, columns, dtype=torch.bool))
        self.searching = False
        self.rate, self.gain = 0.0, 1.0

    @property
    def width(self) -> int:
        return self.mask.shape[1]

    @property
    def first_rows(self) -> int | None:
        """How many rows of the table are users', which come first; none if all are shared."""
        return None

    def start(self, generator: torch.Generator) -> None:
        """Initialise the stored table."""
        raise NotImplementedError

    def reset(self, generator: torch.Generator) -> None:
        self.start(generator)  # the mask stays: it is what the retraining starts under

    def begin(self, phase: Phase, progress: Progress, lr: float) -> None:
        self.searching = phase.until_budget
        with torch.no_grad():
            if not self.searching:
                self.stored.weight.mul_(self.mask)
                return
            self.mask.fill_(True)
            size = self.stored.weight.abs().flatten()
            cut = float(size.kthvalue(max(1, size.numel() - self.config.kept)).values)
            # Where all entries are kept the least one counts, and that may be 0, for which there
            # is no threshold.
            cut = max(cut, _LEAST)
            # By the end thresholds have passed whatever Adam can have made of a weight.
            most = cut + lr * progress.steps
            self.gain = self.config.gain or max(1.0, most / _CEILING)
            first = _logit(min(self.config.threshold_start * cut / self.gain, _CEILING))
            last = _logit(min(most / self.gain, _CEILING))
            self.thresholds.fill_(first)
            # In four fifths of the steps: while s shrinks Adam falls behind its rate a little.
            self.rate = (last - first) / max(1, 0.8 * progress.steps)

    def groups(self, lr: float) -> Iterable[dict[str, Any]]:
        yield {"params": [self.stored.weight], "lr": lr}
        if self.searching:
            yield {"params": [self.thresholds], "lr": self.rate, "weight_decay": DECAY}

    def entries(self, index: Tensor) -> Tensor:
        """Rows of the pruned table: int64 [*] -> float32 [*, columns]."""
        rows = self.stored(index)
        if self.searching:
            # A sparse gradient spares a dense array of zeros in each step that touches few rows.
            # Only `bench.engine.adam` takes it, and a table that it updates lazily has a reader.
            few = self.stored.reader is not None and 2 * index.numel() < len(self.mask)
            cut = functional.embedding(index, self.thresholds, sparse=few).sigmoid() * self.gain
            return rows.sign() * functional.relu(rows.abs() - cut)
        return rows * functional.embedding(index, self.mask)

    def rounded_tables(self) -> Iterator[tuple[Rounding, Callable[[], Tensor]]]:
        if not self.searching:
            yield from super().rounded_tables()

    @torch.no_grad()
    def _margins(self) -> Tensor:
        return self.stored.weight.abs() - self.thresholds.sigmoid() * self.gain

    @torch.no_grad()
    def live(self) -> int:
        # Piece by piece, in a core's cache: it is asked for 20 times an epoch.
        pieces = zip(self.stored.weight.split(_PIECE), self.thresholds.split(_PIECE), strict=True)
        kept = (weight.abs() > s.sigmoid().mul_(self.gain) for weight, s in pieces)
        return int(sum(piece.sum() for piece in kept))

    def target(self) -> int:
        return self.config.kept

    def kept_share(self) -> str:
        """The share of the table's entries that is kept, in words."""
        return f"{self.mask.float().mean():.1%}"

    @torch.no_grad()
    def finish(self, phase: Phase) -> None:
        if not phase.until_budget:
            return
        margins, kept, first = self._margins(), self.config.kept, self.first_rows
        left = int((margins > 0).sum())
        if self.config.gain is not None and left > kept:
            raise Unreachable(
                f"with gain = {self.config.gain:g} the thresholds end below "
                f"{self.config.gain / 2:g} and keep {left:,} entries; the budget holds {kept:,}"
            )
        self.mask.fill_(False)
        if self.config.kept_user_share is None or first is None:
            _keep(self.mask, margins, kept)
        else:
            sides = (slice(None, first), slice(first, None))
            most = margins[sides[0]].numel(), margins[sides[1]].numel()
            for side, count in zip(
                sides, divide(kept, self.config.kept_user_share, most), strict=True
            ):
                _keep(self.mask[side], margins[side], count)
        # For variants that go on from here: entries become what lookups returned.
        weight = self.stored.weight
        weight.copy_(weight.sign() * margins.clamp(min=0) * self.mask)
        self.searching = False

    def pack(self) -> dict[str, Tensor]:
        filing = self._filing(self.table, self.config)
        return pack_sparse("stored", self.stored.weight.detach(), self.mask, **filing)

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], table: Table, config: Any) -> Pruned:
        method = cls(table, config)
        weight, mask = unpack_sparse(packed, "stored", *cls.shape(table, config))
        with torch.no_grad():
            method.stored.weight.copy_(weight)
            method.mask.copy_(mask)
        return method.to(weight.device).requires_grad_(False)
