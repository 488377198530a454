"""Dot product, cosine, and powers between them, for backbones that score by products of rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import AliasChoices, Field, model_validator
from torch import Tensor

from bench.backbones.base import Backbone
from bench.compiled import available

_SHORTEST = 1e-12  # least length that a row is divided by; a row of zeros stays one


class Similarity(Backbone.Config):
    """Own knobs.

    `similarity`: `dot`, or `cosine`, which scales users' and items' rows to norm 1. `norm_power`: a
    power p between 0 and 1, for `cosine` only. A row is scaled to its norm to the power p instead:
    p = 0 would be the cosine, p = 1 the dot product. Angles alone can hardly express how popular an
    item is. With a small p norms express it, without additional values, and training does not start
    as slowly as with the dot product.
    """

    similarity: Literal["dot", "cosine"] = "dot"
    norm_power: float | None = Field(
        None,
        gt=0,
        lt=1,
        validation_alias=AliasChoices("norm_power", "lengths"),
        serialization_alias="lengths",
    )

    @model_validator(mode="after")
    def _lengths_need_cosine(self) -> Similarity:
        if self.norm_power is not None and self.similarity != "cosine":
            raise ValueError("norm_power is for similarity = 'cosine'; a dot product keeps norms")
        return self

    def scaled(self, rows: Tensor) -> Tensor:
        """Rows whose dot products are the similarity: [n, dim] -> [n, dim]."""
        if self.similarity == "dot":
            return rows
        loops = rows.device.type == "cpu" and rows.dtype == torch.float32 and available()
        function = _ScaledByLoops if loops and rows.dim() == 2 and rows.shape[1] else _Scaled
        scaled: Tensor = function.apply(rows, self.norm_power or 0.0)
        return scaled


class _Scaled(torch.autograd.Function):
    """Rows scaled to their norms to a power; autograd takes many times as long for the gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, power: float) -> Tensor:
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        safe = length.clamp(min=_SHORTEST)
        ctx.save_for_backward(rows, length, safe)
        ctx.power = power
        return rows * safe.pow(power - 1) if power else rows / safe

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rows, length, safe = ctx.saved_tensors
        grad, power = grads[0], ctx.power
        factor = safe.pow(power - 1) if power else safe.reciprocal()
        along = (rows * grad).sum(-1, keepdim=True)
        # The length of a row that is too short counts as constant.
        along.mul_(factor).mul_(length > _SHORTEST).div_(safe.square())
        return (grad * factor).addcmul_(along, rows, value=power - 1), None


class _ScaledByLoops(torch.autograd.Function):
    """As `_Scaled`, float32 on a CPU, in one pass over the rows each way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, power: float) -> Tensor:
        from bench.backbones.loops.scaling import scale_rows

        rows = rows.detach().contiguous()
        scaled, factors = torch.empty_like(rows), rows.new_empty(len(rows))
        scale_rows(rows.numpy(), power, _SHORTEST, scaled.numpy(), factors.numpy())
        ctx.save_for_backward(rows, factors)
        ctx.power = power
        return scaled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        from bench.backbones.loops.scaling import scaled_gradients

        rows, factors = ctx.saved_tensors
        grad, found = grads[0].contiguous(), torch.empty_like(rows)
        scaled_gradients(rows.numpy(), grad.numpy(), factors.numpy(), ctx.power, found.numpy())
        return found, None
