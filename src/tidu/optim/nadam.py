"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from typing import Any

from tidu.ops.elementwise import mul, sqrt
from tidu.ops.updates import moving_average, moving_square
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


class NAdam(Optimizer):
    """NAdam: θ ← θ − γ·((1 − μₜ)/(1 − Πμ)·g + μₜ₊₁/(1 − Πμ·μₜ₊₁)·m) / (√v̂ + ε).

    m and v̂ are those of Adam, μₜ = β₁(1 − ½·0.96^(tψ)) with the `momentum_decay` ψ, and Πμ is the
    product μ₁⋯μₜ. `weight_decay` λ adds λθ to g, or with `decoupled_weight_decay` shrinks θ by 1 −
    γλ. Raises ValueError for options out of range. Follows torch.optim.NAdam; Dozat, 2016,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    >>> optimizer = NAdam(model.parameters(), lr=2e-3)
    """

    _host_scalars = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_option(eps >= 0.0, "epsilon value", eps)
        check_betas(betas)
        check_option(weight_decay >= 0.0, "weight_decay value", weight_decay)
        check_option(momentum_decay >= 0.0, "momentum_decay value", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, parameter: Tensor, group: Group) -> State:
        return {
            "step": scalar_tensor(0.0),
            "mu_product": scalar_tensor(1.0),
            "exp_avg": zeros_like(parameter),
            "exp_avg_sq": zeros_like(parameter),
        }

    def _update(self, group: Group, advance: Advance) -> None:
        rate, eps, momentum_decay, decay = numbers_of(
            group, "lr", "eps", "momentum_decay", "weight_decay"
        )
        beta1, beta2 = (number_of(beta) for beta in group["betas"])
        decoupled = group["decoupled_weight_decay"] and decay != 0
        for parameter, grad, state in self._gradients(group):
            count = self._count(state)
            mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * momentum_decay))
            mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * momentum_decay))
            mu_product = self._scalars.multiply(state["mu_product"], mu)
            if decoupled:
                advance(parameter, mul, 1 - rate * decay)
            average = advance(state["exp_avg"], moving_average, grad, 1 - beta1)
            square = advance(state["exp_avg_sq"], moving_square, grad, beta2, 1 - beta2)
            advance(
                parameter,
                _step,
                grad,
                average,
                square,
                -rate * (1.0 - mu) / (1.0 - mu_product),
                -rate * mu_next / (1.0 - mu_product * mu_next),
                1 - beta2**count,
                eps,
            )


def _step(
    parameter: Any,
    grad: Any,
    average: Any,
    square: Any,
    grad_scale: float,
    average_scale: float,
    correction2: float,
    eps: float,
) -> Any:
    denominator = sqrt(square / correction2) + eps
    return parameter + grad * grad_scale / denominator + average * average_scale / denominator
