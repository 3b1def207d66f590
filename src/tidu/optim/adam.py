"""Adam: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from tidu.ops.elementwise import maximum, mul
from tidu.ops.updates import moving_average, moving_square, normalized_step
from tidu.optim.advance import Advance
from tidu.optim.optimizer import Group, Optimizer, ParamsT, State
from tidu.optim.options import (
    check_betas,
    check_fused,
    check_lr,
    check_option,
    number_of,
    numbers_of,
    rate_of,
    scalar_tensor,
)
from tidu.tensor import Tensor, zeros_like


class Adam(Optimizer):
    """Adam: θ ← θ − γ·m̂ / (√v̂ + ε), with m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g².

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ) correct the bias of averages that start at zero; t
    counts the updates of each parameter. With `amsgrad`, v̂ is the largest v so far. `weight_decay`
    λ adds λθ to g; with `decoupled_weight_decay`, θ ← (1 − γλ)θ before the update instead.
    `maximize` negates g. Raises ValueError for negative options, and for betas outside [0, 1).
    Follows torch.optim.Adam; Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980.

    >>> optimizer = Adam(model.parameters(), lr=3e-4, betas=(0.9, 0.95))
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        state = {
            "step": scalar_tensor(0.0),
            "exp_avg": zeros_like(parameter),
            "exp_avg_sq": zeros_like(parameter),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like(parameter)
        return state

    def _update(self, group: Group, advance: Advance) -> None:
        rate = rate_of(group)
        beta1, beta2 = (number_of(beta) for beta in group["betas"])
        weight1, weight2 = 1 - beta1, 1 - beta2
        eps, decay = numbers_of(group, "eps", "weight_decay")
        decoupled = group["decoupled_weight_decay"] and decay != 0
        amsgrad = group["amsgrad"]
        shrink = 1 - rate * decay
        parameters, gradients, states = self._columns(group)
        scales, corrections = [], []
        corrected_for = 0.0
        for count in self._counts(states):
            if count != corrected_for:
                corrected_for = count
                scale = -rate / (1 - beta1**count)
                correction = (1 - beta2**count) ** 0.5
            scales.append(scale)
            corrections.append(correction)
        if decoupled:
            advance.each(parameters, mul, shrink)
        averages = advance.each(
            [state["exp_avg"] for state in states], moving_average, gradients, weight1
        )
        squares = advance.each(
            [state["exp_avg_sq"] for state in states], moving_square, gradients, beta2, weight2
        )
        if amsgrad:
            squares = advance.each([state["max_exp_avg_sq"] for state in states], maximum, squares)
        advance.each(parameters, normalized_step, averages, squares, scales, corrections, eps)
