"""Adamax: Adam with the largest gradient so far in place of the average of squares."""

from __future__ import annotations

from typing import Any

from tidu.ops.elementwise import abs_, maximum
from tidu.ops.updates import moving_average
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import (
    check_betas,
    check_lr,
    check_option,
    number_of,
    numbers_of,
    scalar_tensor,
)
from tidu.tensor import Tensor, zeros_like


class Adamax(Optimizer):
    """Adamax: θ ← θ − γ / (1 − β₁ᵗ) · m / u, with m ← β₁m + (1 − β₁)g and u ← max(β₂u, |g| + ε).

    `weight_decay` λ adds λθ to g, `maximize` negates g. Raises ValueError for options out of range.
    Follows torch.optim.Adamax; Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, section 7.

    >>> optimizer = Adamax(model.parameters(), lr=2e-3)
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "exp_avg": zeros_like(parameter),
            "exp_inf": zeros_like(parameter),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, eps = numbers_of(group, "lr", "eps")
        beta1, beta2 = (number_of(beta) for beta in group["betas"])
        for parameter, grad, state in self._gradients(group):
            scale = -rate / (1 - beta1 ** self._count(state))
            average = advance(state["exp_avg"], moving_average, grad, 1 - beta1)
            largest = advance(state["exp_inf"], _decayed_maximum, grad, beta2, eps)
            advance(parameter, _step, average, largest, scale)


def _decayed_maximum(largest: Any, grad: Any, decay: float, eps: float) -> Any:
    return maximum(largest * decay, abs_(grad) + eps)


def _step(parameter: Any, average: Any, largest: Any, scale: float) -> Any:
    return parameter + average * scale / largest
