"""The interface of a backbone: how rows of embeddings become scores."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from bench.data import Interactions


class Backbone(nn.Module):
    """Turns rows of embeddings into scores.

    Class attributes:
        name, title: on the command line and on a board.
        whole: every step needs the rows of all N ids; `spread` and `spread_some` get them. The
            length of a row is its weight in a sum then, so that a user's length changes rankings.
        narrow: columns that are zero in all rows change no score and can be left out.

    Attributes:
        start: state that training starts from, in place of what `reset` sets; empty: none.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    whole: ClassVar[bool] = False
    narrow: ClassVar[bool] = False

    class Config(BaseModel):
        """The backbone's own knobs; unknown keys are errors."""

        model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

        def stored(self) -> dict[str, Any]:
            """As a record holds it. A knob that is None is left out, so a new one changes no id."""
            return self.model_dump(mode="json", exclude_none=True, by_alias=True)

    def __init__(self, data: Interactions, dim: int, config: Any) -> None:
        super().__init__()
        self.users, self.items, self.dim, self.config = data.users, data.items, dim, config
        self.start: dict[str, Tensor] = {}

    @property
    def dot(self) -> bool:
        """Whether the score is the dot product of what `embed` returns."""
        return self._is_dot()

    @classmethod
    def _is_dot(cls) -> bool:
        return cls.pairs is Backbone.pairs and cls.matrix is Backbone.matrix

    @classmethod
    def refusal(cls, config: Any, *, shared: bool = False, whole: bool = False) -> str:
        """Why the backbone cannot be trained under an objective, and the remedy; "" if it can.

        Args:
            config: of the backbone.
            shared: all pairs of a step have the same negatives.
            whole: the objective takes the vectors of all ids, and multiplies them.
        """
        if whole and not cls._is_dot():
            return (
                f"objective squared needs a dot-product score, {cls.name} has none; use"
                " --set training.objective.name=bpr"
            )
        return ""

    def reset(self, generator: torch.Generator) -> None:
        """(Re)initialise the backbone's own parameters, if it has any."""

    def spread(self, rows: Tensor) -> Tensor:
        """Transform the rows of all N ids together, if `whole`: [N, dim] -> [N, dim]."""
        return rows

    def spread_some(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Rows `ids` of `spread`, and the same rows as they were: [N, dim] -> twice [n, dim].

        Args:
            rows: of all N ids.
            ids: int64 [n]; distinct on a CPU.
        """
        # Its gradients on a GPU do not depend on the order of threads, where ids repeat.
        return functional.embedding(ids, self.spread(rows)), functional.embedding(ids, rows)

    def embed(self, rows: Tensor) -> Tensor:
        """Transform each row by itself, after `spread`: [n, dim] -> [n, width]."""
        return rows

    def pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of aligned vectors: [..., width] and [..., width] (broadcast) -> [...]."""
        return (users * items).sum(-1)

    def contrast(
        self, users: Tensor, positives: Tensor, negatives: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Score positives [B, 1] and their own negatives [B, k].

        Args:
            users: [B, width].
            positives: [B, width].
            negatives: [B, k, width].
        """
        above = self.pairs(users, positives).unsqueeze(1)
        return above, self.pairs(users.unsqueeze(1), negatives)

    def matrix(self, users: Tensor, items: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores of all pairs: [b, width] and [n, width] -> [b, n], into `out` if given."""
        return torch.mm(users, items.T, out=out)
