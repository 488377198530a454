"""Dense Adam of one parameter (Kingma & Ba, ICLR 2015).

eps is 1e-12 instead of the usual 1e-8. Gradients of a mean over 2,048 pairs are near 1e-6. An eps
of 1e-8 would not only prevent 0/0: it would shorten the steps of rare ids, and the closed form,
which allows for eps only roughly, would be inexact.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam

BETA1, BETA2, EPS = 0.9, 0.999, 1e-12


class Dense:
    """Adam's state of one parameter."""

    def __init__(self, parameter: Tensor, lr: float, weight_decay: float) -> None:
        self.parameter = parameter
        self.lr = lr
        self.weight_decay = weight_decay
        self.m = torch.zeros_like(parameter)
        self.v = torch.zeros_like(parameter)
        self.step = torch.zeros((), device=parameter.device)
        self._zero: Tensor | None = None

    def dense(self, share: float) -> None:
        """Do one step at a share of the learning rate; a missing gradient counts as zero."""
        parameter, grad = self.parameter, self.parameter.grad
        rows: Tensor | None = None
        if grad is None or grad.is_sparse:
            # Kept, because a new array of zeros in each step would cost more than the step.
            if self._zero is None:
                self._zero = torch.zeros_like(parameter)
            if grad is not None:
                rows = grad._indices()[0]
                self._zero.index_add_(0, rows, grad._values())
            grad = self._zero
        lr = self.lr * share
        adam_step([parameter], [grad], [self.m], [self.v], [self.step], lr, self.weight_decay)
        if rows is not None:
            grad.index_fill_(0, rows, 0)
        parameter.grad = None


def adam_step(
    parameters: list[Tensor],
    grads: list[Tensor],
    ms: list[Tensor],
    vs: list[Tensor],
    steps: list[Tensor],
    lr: float,
    weight_decay: float,
) -> None:
    """Do a step of PyTorch's fused Adam; `steps` count up."""
    adam(
        parameters,
        grads,
        ms,
        vs,
        [],
        steps,
        foreach=False,
        fused=True,
        grad_scale=None,
        found_inf=None,
        has_complex=False,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=lr,
        weight_decay=weight_decay,
        eps=EPS,
        maximize=False,
        capturable=False,
        differentiable=False,
    )
